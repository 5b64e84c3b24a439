# What CI does in an environment, whether GitHub's or Jenkins': push images, ask by events, follow what happens.
module "github_oidc" {
  source = "../github-oidc"

  # The account has one; `infra/account` makes it.
  create_provider = false
  repository      = coalesce(var.github_repository, "nobody/nothing")
  # A retraining is followed to its end: training, two transforms and a deployment that is tried out first.
  max_session_s = 18000
  tags          = local.tags

  # Jobs name the environment, and GitHub says which branches may: main for prod, develop for staging.
  roles = {
    for name in var.github_repository == null ? [] : ["GitHubActionsRole${local.names.suffix}"] :
    name => { subjects = ["environment:${var.environment}"], policy = module.settings.roles.pipeline }
  }
}

module "jenkins" {
  source   = "../jenkins"
  for_each = var.jenkins == null ? {} : { jenkins = var.jenkins }

  name          = "retail-forecast-jenkins${local.names.suffix}"
  role_name     = "RetailForecastCICDRole${local.names.suffix}"
  policy        = module.settings.roles.pipeline
  instance_type = each.value.instance_type
  allowed_cidrs = each.value.allowed_cidrs
  disk_gb       = each.value.disk_gb
  vpc_id        = module.vpc.vpc_id
  subnet_id     = module.vpc.private_subnet_ids[0]
  network_cidr  = var.cidr
  disk_key_arn  = module.kms.key_arns.disks
  tags          = local.tags
}

module "vpc" {
  source = "../vpc"

  name                = local.names.cluster_name
  cidr                = var.cidr
  nat_gateways        = var.nat_gateways
  interface_endpoints = var.interface_endpoints
  private_zone_name   = local.private_zone
  log_retention_days  = var.log_retention_days
  log_key_arn         = module.kms.key_arns.logs
  tags                = local.tags
}

locals {
  # Functions of the network are those that reach the cluster: the manifests bind their groups to roles. Who only
  # looks there is in a group of its own.
  readers = ["judge-canary"]
  cluster_groups = {
    for function, settings in local.functions :
    function => contains(local.readers, function) ? local.names.readers_group : local.names.deployers_group if settings.limits.vpc
  }

  pipeline_roles = merge(
    { for name, arn in module.github_oidc.role_arns : "github" => arn },
    { for name, jenkins in module.jenkins : name => jenkins.role_arn },
  )
}

module "eks" {
  source = "../eks"

  name                = local.names.cluster_name
  kubernetes_version  = var.kubernetes_version
  subnet_ids          = module.vpc.private_subnet_ids
  public_access_cidrs = var.cluster_access_cidrs
  client_security_group_ids = merge(
    { functions = module.vpc.functions_security_group_id },
    { for name, jenkins in module.jenkins : name => jenkins.security_group_id },
  )
  node_groups        = var.node_groups
  secrets_key_arn    = module.kms.key_arns.eks
  disk_key_arn       = module.kms.key_arns.disks
  log_key_arn        = module.kms.key_arns.logs
  log_retention_days = var.log_retention_days
  tags               = local.tags

  access_entries = merge(
    { for arn in var.cluster_admin_arns : arn => { principal_arn = arn, policy = "AmazonEKSClusterAdminPolicy" } },
    { for function, group in local.cluster_groups : function => { principal_arn = module.functions[function].role_arn, groups = [group] } },
    # Pipelines apply the manifests, but for the Namespace and the Roles: those are an administrator's.
    { for name, arn in local.pipeline_roles : name => { principal_arn = arn, policy = "AmazonEKSAdminPolicy", namespaces = [local.names.namespace] } },
  )
}

module "iam_irsa" {
  source = "../iam-irsa"

  cluster_name           = module.eks.cluster_name
  oidc_provider_arn      = module.eks.oidc_provider_arn
  oidc_issuer            = module.eks.oidc_issuer
  name_suffix            = local.names.suffix
  private_zone_arn       = module.vpc.private_zone_arn
  vpc_id                 = module.vpc.vpc_id
  pod_log_retention_days = var.log_retention_days
  log_key_arn            = module.kms.key_arns.logs
  tags                   = local.tags

  api = {
    role_name       = local.names.api_role
    namespace       = local.names.namespace
    service_account = local.names.api_service_account
    policy          = module.settings.roles.api
  }
}

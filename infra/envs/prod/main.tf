# Nothing depends on one zone, and the functions' calls stay inside the network. Environments differ in these values only.
module "system" {
  source = "../../modules/system"

  environment            = "prod"
  cidr                   = "10.2.0.0/16"
  nat_gateways           = "per_zone"
  interface_endpoints    = ["ecr.api", "ecr.dkr", "eks", "events", "monitoring", "sagemaker.api", "sqs", "sts"]
  node_groups            = { general = { min_size = 2, desired_size = 3 } }
  log_retention_days     = 365
  archive_retention_days = 365

  record_retention_days = {
    checks        = 90
    datasets      = 730
    decisions     = 730
    notifications = 90
    predictions   = 30
  }

  packages              = var.packages == null ? { folder = "${path.root}/../../../target/lambda" } : var.packages
  architecture          = var.architecture
  shared_account        = var.shared_account
  cluster_admin_arns    = var.cluster_admin_arns
  cluster_access_cidrs  = var.cluster_access_cidrs
  alert_email_addresses = var.alert_email_addresses
  alert_slack           = var.alert_slack
  github_repository     = var.github_repository
  jenkins               = var.jenkins
  service_url           = var.service_url
  frozen                = var.frozen
  function_variables    = var.function_variables
  reserve_concurrency   = var.reserve_concurrency
  replication           = var.replication
  tags                  = var.tags
}

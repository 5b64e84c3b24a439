# Cheap: one NAT gateway, spot nodes, short logs. Environments differ in these values only.
module "system" {
  source = "../../modules/system"

  environment            = "dev"
  cidr                   = "10.0.0.0/16"
  nat_gateways           = "one"
  interface_endpoints    = []
  node_groups            = { general = { capacity_type = "SPOT" } }
  log_retention_days     = 30
  archive_retention_days = 30

  record_retention_days = {
    checks        = 30
    datasets      = 180
    decisions     = 180
    notifications = 30
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

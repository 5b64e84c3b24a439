# One environment: buckets, network, cluster, functions and what connects them. What an account has once is in
# `infra/account`.
data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  names        = module.settings.names
  functions    = module.settings.functions
  private_zone = "retail-forecast-${var.environment}.internal"
  service_url  = coalesce(var.service_url, "http://api.${local.private_zone}")

  tags = merge(var.tags, {
    Project     = "RetailForecast"
    Environment = var.environment
    ManagedBy   = "Terraform"
  })
}

module "settings" {
  source = "../settings"

  environment      = var.environment
  region           = data.aws_region.current.region
  account_id       = data.aws_caller_identity.current.account_id
  shared_account   = var.shared_account
  service_url      = local.service_url
  data_key_arn     = module.kms.key_arns.s3
  messages_key_arn = module.kms.key_arns.messages
  frozen           = var.frozen
  overrides        = var.function_variables
}

module "kms" {
  source = "../kms"

  name          = local.names.project
  event_bus_arn = local.names.event_bus_arn
  tags          = local.tags
}

module "s3" {
  source = "../s3"

  data_bucket_name      = local.names.data_bucket
  artifacts_bucket_name = local.names.artifacts_bucket
  logs_bucket_name      = local.names.logs_bucket
  kms_key_arn           = module.kms.key_arns.s3
  retention_days        = var.record_retention_days
  replication           = var.replication
  tags                  = local.tags
}

module "sagemaker" {
  source = "../sagemaker"

  role_name          = local.names.sagemaker_role
  policy             = module.settings.roles.sagemaker
  endpoint_name      = local.names.endpoint_name
  log_retention_days = var.log_retention_days
  log_key_arn        = module.kms.key_arns.logs
  tags               = local.tags
}

module "alerts" {
  source = "../alerts"

  topic_name      = local.names.alerts_topic
  kms_key_arn     = module.kms.key_arns.messages
  email_addresses = var.alert_email_addresses
  slack           = var.alert_slack
  tags            = local.tags
}

module "dashboard" {
  source = "../dashboard"

  name               = local.names.dashboard
  project            = local.names.project
  environment        = var.environment
  endpoint_name      = local.names.endpoint_name
  load_balancer_name = local.names.project
  log_key_arn        = module.kms.key_arns.logs
  tags               = local.tags
}

# What an account has once, however many environments it holds: repositories of images, the trail, the
# logs of SageMaker's jobs, and the identity provider for GitHub.
locals {
  tags = merge(var.tags, { Project = "RetailForecast", ManagedBy = "Terraform" })
}

module "kms" {
  source = "../modules/kms"

  name = "retail-mlops"
  keys = ["cloudtrail", "ecr", "logs"]
  tags = local.tags
}

# Where SageMaker writes the logs of all jobs of the account. It makes a group of its own where there is none, and
# that one keeps its lines for ever.
resource "aws_cloudwatch_log_group" "jobs" {
  for_each = toset(["TrainingJobs", "TransformJobs"])

  name              = "/aws/sagemaker/${each.key}"
  retention_in_days = var.job_log_retention_days
  kms_key_id        = module.kms.key_arns.logs

  tags = local.tags
}

module "ecr" {
  source = "../modules/ecr"

  kms_key_arn         = module.kms.key_arns.ecr
  replication_regions = var.image_replication_regions
  tags                = local.tags
}

module "cloudtrail" {
  source = "../modules/cloudtrail"

  bucket_name = "retail-mlops-trail-${var.account_id}-${var.region}"
  kms_key_arn = module.kms.key_arns.cloudtrail
  # The data buckets of all environments of the account begin so; the states know every name and setting.
  data_event_arn_prefixes = [
    "arn:aws:s3:::retail-mlops-data-${var.account_id}-${var.region}",
    "arn:aws:s3:::terraform-state-retail-mlops-${var.account_id}/",
  ]
  insights = var.cloudtrail_insights
  tags     = local.tags
}

module "github_oidc" {
  source   = "../modules/github-oidc"
  for_each = var.github_repository == null ? toset([]) : toset(["github"])

  repository = var.github_repository
  tags       = local.tags
}

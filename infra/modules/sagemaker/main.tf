data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
}

resource "aws_iam_role" "this" {
  name = var.role_name
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "sagemaker.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Only for jobs, models and endpoints of this account.
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:aws:sagemaker:${local.region}:${local.account}:*" }
      }
    }]
  })

  tags = var.tags
}

# SageMaker makes a group of its own where there is none, and that one keeps its lines for ever.
resource "aws_cloudwatch_log_group" "endpoint" {
  name              = "/aws/sagemaker/Endpoints/${var.endpoint_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn

  tags = var.tags
}

# What jobs and endpoints call: the file that the local cloud holds them to, as well.
resource "aws_iam_role_policy" "this" {
  name   = "jobs"
  role   = aws_iam_role.this.id
  policy = var.policy
}

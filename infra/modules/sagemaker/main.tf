data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  bucket  = "arn:aws:s3:::${var.artifacts_bucket_name}"
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

resource "aws_iam_role_policy" "this" {
  name = "jobs"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ListInputs"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = local.bucket
        Condition = {
          StringLike = { "s3:prefix" = ["datasets/*", "models/*", "predictions/*"] }
        }
      },
      {
        # Never the upload folder: training sees accepted snapshots only.
        Sid      = "ReadSnapshotsAndModels"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = ["${local.bucket}/datasets/*", "${local.bucket}/models/*"]
      },
      {
        Sid      = "WriteModelsAndPredictions"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
        Resource = ["${local.bucket}/models/*", "${local.bucket}/predictions/*"]
      },
      {
        Sid       = "UseDataKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = var.kms_key_arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        Sid      = "PullImages"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [for name in var.repository_names : "arn:aws:ecr:${local.region}:${local.account}:repository/${name}"]
      },
      {
        # A token is for the whole registry: the action has no resource level.
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid    = "Log"
        Effect = "Allow"
        Action = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = [
          "arn:aws:logs:${local.region}:${local.account}:log-group:/aws/sagemaker/*",
          "arn:aws:logs:${local.region}:${local.account}:log-group:/aws/sagemaker/*:log-stream:*",
        ]
      },
      {
        # An endpoint's update looks at its alarms with this role, and goes back when one fires.
        Sid      = "WatchUpdates"
        Effect   = "Allow"
        Action   = "cloudwatch:DescribeAlarms"
        Resource = "arn:aws:cloudwatch:${local.region}:${local.account}:alarm:*"
      },
      {
        # Metrics have no resource level; their namespace is pinned instead.
        Sid       = "Measure"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringLike = { "cloudwatch:namespace" = ["/aws/sagemaker/*", "AWS/SageMaker"] } }
      },
    ]
  })
}

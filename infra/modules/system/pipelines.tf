# What CI does in an environment, whether GitHub's or Jenkins': push images, ask by events, follow what happens.
locals {
  account   = data.aws_caller_identity.current.account_id
  region    = data.aws_region.current.region
  artifacts = "arn:aws:s3:::${local.names.artifacts_bucket}"

  pipeline_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # A token is for the whole registry: the action has no resource level.
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid    = "PushImages"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:DescribeImageScanFindings", "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage",
          "ecr:StartImageScan", "ecr:UploadLayerPart",
        ]
        Resource = [for name in [local.names.train_repository, local.names.infer_repository] : "arn:aws:ecr:${local.region}:${local.account}:repository/${name}"]
      },
      {
        # These and no other events: what the functions announce is theirs to say.
        Sid      = "AskByEvents"
        Effect   = "Allow"
        Action   = "events:PutEvents"
        Resource = local.names.event_bus_arn
        Condition = {
          StringEquals = {
            "events:source"      = "retail-forecast"
            "events:detail-type" = ["RetrainRequested", "RollbackRequested"]
          }
        }
      },
      {
        Sid      = "ListRecords"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = local.artifacts
        Condition = {
          StringLike = { "s3:prefix" = ["datasets/*", "decisions/*", "environments/${var.environment}/*", "evaluations/*", "releases/*"] }
        }
      },
      {
        Sid    = "FollowWhatHappens"
        Effect = "Allow"
        Action = "s3:GetObject"
        Resource = [
          "${local.artifacts}/datasets/newest.json",
          "${local.artifacts}/datasets/*/manifest.json",
          "${local.artifacts}/datasets/*/validation_report.json",
          "${local.artifacts}/decisions/*",
          "${local.artifacts}/environments/${var.environment}/*",
          "${local.artifacts}/evaluations/*",
          "${local.artifacts}/releases/*",
        ]
      },
      {
        # What Trivy said of the image that is pushed: a verdict where ECR's scanner has none.
        Sid      = "KeepScans"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "${local.artifacts}/scans/*"
      },
      {
        Sid       = "UseDataKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = module.kms.key_arns.s3
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        # A list has no resource.
        Sid      = "FindPackage"
        Effect   = "Allow"
        Action   = "sagemaker:ListModelPackages"
        Resource = "*"
      },
      {
        Sid      = "ReadPackages"
        Effect   = "Allow"
        Action   = "sagemaker:DescribeModelPackage"
        Resource = "arn:aws:sagemaker:${local.region}:${local.account}:model-package/${local.names.model_package_group}/*"
      },
      {
        Sid      = "TellPeople"
        Effect   = "Allow"
        Action   = "sns:Publish"
        Resource = module.alerts.topic_arn
      },
      {
        Sid       = "UseMessagesKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = module.kms.key_arns.messages
        Condition = { StringEquals = { "kms:ViaService" = "sns.${local.region}.amazonaws.com" } }
      },
      {
        Sid      = "FindCluster"
        Effect   = "Allow"
        Action   = "eks:DescribeCluster"
        Resource = "arn:aws:eks:${local.region}:${local.account}:cluster/${local.names.cluster_name}"
      },
      {
        Sid      = "LoadTestEndpoint"
        Effect   = "Allow"
        Action   = ["sagemaker:DescribeEndpoint", "sagemaker:InvokeEndpoint"]
        Resource = "arn:aws:sagemaker:${local.region}:${local.account}:endpoint/${local.names.endpoint_name}"
      },
    ]
  })
}

module "github_oidc" {
  source = "../github-oidc"

  # The account has one; `infra/account` makes it.
  create_provider = false
  repository      = coalesce(var.github_repository, "nobody/nothing")
  # A retraining is followed to its end: training, two transforms and a deployment.
  max_session_s = 14400
  tags          = local.tags

  # Jobs name the environment, and GitHub says which branches may: main for prod, develop for staging.
  roles = {
    for name in var.github_repository == null ? [] : ["GitHubActionsRole${local.names.suffix}"] :
    name => { subjects = ["environment:${var.environment}"], policy = local.pipeline_policy }
  }
}

module "jenkins" {
  source   = "../jenkins"
  for_each = var.jenkins == null ? {} : { jenkins = var.jenkins }

  name          = "retail-forecast-jenkins${local.names.suffix}"
  role_name     = "RetailForecastCICDRole${local.names.suffix}"
  policy        = local.pipeline_policy
  instance_type = each.value.instance_type
  allowed_cidrs = each.value.allowed_cidrs
  disk_gb       = each.value.disk_gb
  vpc_id        = module.vpc.vpc_id
  subnet_id     = module.vpc.private_subnet_ids[0]
  network_cidr  = var.cidr
  tags          = local.tags
}

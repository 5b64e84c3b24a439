data "aws_caller_identity" "current" {}

resource "aws_ecr_repository" "this" {
  for_each = var.repository_names

  name = each.value

  # A build's tag means one image for ever; `latest-{environment}` moves.
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"

  image_tag_mutability_exclusion_filter {
    filter      = "latest-*"
    filter_type = "WILDCARD"
  }

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }

  tags = var.tags
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each = var.repository_names

  repository = aws_ecr_repository.this[each.key].name
  policy = jsonencode({
    rules = [
      {
        # An image that a rule selects can't be expired by a later one: this keeps what environments run.
        rulePriority = 1
        description  = "What an environment runs stays"
        selection    = { tagStatus = "tagged", tagPrefixList = ["latest-"], countType = "imageCountMoreThan", countNumber = 100 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "The newest builds stay"
        selection    = { tagStatus = "tagged", tagPrefixList = ["build-"], countType = "imageCountMoreThan", countNumber = var.builds_kept }
        action       = { type = "expire" }
      },
      {
        rulePriority = 3
        description  = "What lost its tag goes"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = var.untagged_days }
        action       = { type = "expire" }
      },
    ]
  })
}

resource "aws_ecr_replication_configuration" "this" {
  for_each = length(var.replication_regions) > 0 ? toset(["this"]) : toset([])

  replication_configuration {
    rule {
      dynamic "destination" {
        for_each = var.replication_regions

        content {
          region      = destination.value
          registry_id = data.aws_caller_identity.current.account_id
        }
      }

      dynamic "repository_filter" {
        for_each = var.repository_names

        content {
          filter      = repository_filter.value
          filter_type = "PREFIX_MATCH"
        }
      }
    }
  }
}

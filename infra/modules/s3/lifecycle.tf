locals {
  # Rules by bucket: prefix and the age at which objects go.
  expiry = {
    data      = { training = var.upload_retention_days, validation = var.upload_retention_days }
    artifacts = var.retention_days
    logs      = { s3 = var.log_retention_days, alb = var.log_retention_days }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "replaced-versions"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_retention_days
    }
  }

  dynamic "rule" {
    for_each = local.expiry[each.key]

    content {
      id     = "${rule.key}-expire"
      status = "Enabled"

      filter {
        prefix = "${rule.key}/"
      }

      expiration {
        days = rule.value
      }
    }
  }

  dynamic "rule" {
    # Large, and seldom read once a model is live.
    for_each = each.key == "artifacts" ? ["datasets", "models"] : []

    content {
      id     = "${rule.value}-colder"
      status = "Enabled"

      filter {
        prefix = "${rule.value}/"
      }

      transition {
        days          = 90
        storage_class = "INTELLIGENT_TIERING"
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

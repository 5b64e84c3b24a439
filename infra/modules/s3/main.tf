data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  buckets = {
    data      = var.data_bucket_name
    artifacts = var.artifacts_bucket_name
    logs      = var.logs_bucket_name
  }
  arns = { for bucket, name in local.buckets : bucket => "arn:aws:s3:::${name}" }

  # S3 and the load balancer can't write logs to a bucket whose default key is in KMS.
  encrypted_by_key = toset(["data", "artifacts"])
}

resource "aws_s3_bucket" "this" {
  for_each = local.buckets

  bucket = each.value

  tags = var.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = contains(local.encrypted_by_key, each.key)

    apply_server_side_encryption_by_default {
      sse_algorithm     = contains(local.encrypted_by_key, each.key) ? "aws:kms" : "AES256"
      kms_master_key_id = contains(local.encrypted_by_key, each.key) ? var.kms_key_arn : null
    }
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each = local.encrypted_by_key

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "s3/${each.key}/"
}

# All events of the data bucket go to EventBridge; rules choose.
resource "aws_s3_bucket_notification" "data" {
  bucket      = aws_s3_bucket.this["data"].id
  eventbridge = true
}

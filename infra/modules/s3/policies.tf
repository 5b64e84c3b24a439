locals {
  tls_only = {
    for bucket, arn in local.arns : bucket => {
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [arn, "${arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }
  }

  # Nothing is stored under another key, whoever writes it. A request that names no encryption gets the
  # bucket's; so only what is named can be wrong.
  right_key_only = {
    for bucket in local.encrypted_by_key : bucket => [
      for sid, rule in {
        RightKeyOnly      = { key = "s3:x-amz-server-side-encryption-aws-kms-key-id", value = var.kms_key_arn }
        NoOtherEncryption = { key = "s3:x-amz-server-side-encryption", value = "aws:kms" }
        } : {
        Sid       = sid
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = "${local.arns[bucket]}/*"
        Condition = {
          Null            = { (rule.key) = "false" }
          StringNotEquals = { (rule.key) = rule.value }
        }
      }
    ]
  }

  log_writers = [
    {
      Sid       = "AccessLogs"
      Effect    = "Allow"
      Principal = { Service = "logging.s3.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${local.arns.logs}/s3/*"
      Condition = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnLike      = { "aws:SourceArn" = [for bucket in local.encrypted_by_key : local.arns[bucket]] }
      }
    },
    {
      Sid       = "LoadBalancerLogs"
      Effect    = "Allow"
      Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
      Action    = "s3:PutObject"
      Resource  = "${local.arns.logs}/alb/AWSLogs/${data.aws_caller_identity.current.account_id}/*"
      Condition = {
        ArnLike = { "aws:SourceArn" = "arn:aws:elasticloadbalancing:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:loadbalancer/*" }
      }
    },
  ]

  statements = {
    data      = concat([local.tls_only.data], local.right_key_only.data)
    artifacts = concat([local.tls_only.artifacts], local.right_key_only.artifacts)
    logs      = concat([local.tls_only.logs], local.log_writers)
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.statements[each.key]
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

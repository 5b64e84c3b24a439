data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  buses   = var.event_bus_arn == null ? [] : [var.event_bus_arn]

  descriptions = {
    disks      = "Disks of nodes and servers"
    eks        = "Secrets of the cluster"
    s3         = "Data, models and records"
    logs       = "CloudWatch logs"
    messages   = "Queues, topic, bus and functions' variables"
    ecr        = "Images"
    cloudtrail = "Audit trail"
  }

  # Whoever the account's IAM policies name may use the keys: without this statement a key can become one
  # that nobody may change.
  account_statement = {
    Sid       = "AccountDecides"
    Effect    = "Allow"
    Principal = { AWS = "arn:aws:iam::${local.account}:root" }
    Action    = "kms:*"
    Resource  = "*"
  }

  # What AWS's services do with a key in their own name, not in a role's.
  service_statements = {
    # As AWS's own key for disks has it: who may make an instance here may use the key through EC2, the group that
    # scales the nodes included, whose role isn't there before the first one.
    disks = [{
      Sid       = "DisksOfTheAccount"
      Effect    = "Allow"
      Principal = { AWS = "*" }
      Action    = ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
      Resource  = "*"
      Condition = { StringEquals = { "kms:CallerAccount" = local.account, "kms:ViaService" = "ec2.${local.region}.amazonaws.com" } }
    }]
    eks = []
    s3  = []
    ecr = []
    logs = [{
      Sid       = "LogGroups"
      Effect    = "Allow"
      Principal = { Service = "logs.${local.region}.amazonaws.com" }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
      Resource  = "*"
      Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${local.region}:${local.account}:log-group:*" } }
    }]
    # Pinned by what is encrypted, which each call tells: EventBridge's calls for a queue name no source.
    messages = concat(
      [{
        # Rules send to encrypted queues; so they carry S3's events, too.
        Sid       = "RulesToQueues"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:sqs:arn" = "arn:aws:sqs:${local.region}:${local.account}:*" } }
        }, {
        Sid       = "AlarmsToTopic"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:sns:topicArn" = "arn:aws:sns:${local.region}:${local.account}:*" } }
      }],
      [for bus in local.buses : {
        # The archive's calls name the bus as well.
        Sid       = "BusAndArchive"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:EncryptionContext:aws:events:event-bus:arn" = bus } }
      }],
      [for bus in local.buses : {
        # Looking at a key is about nothing that is encrypted.
        Sid       = "BusLooksAtKey"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = ["kms:DescribeKey"]
        Resource  = "*"
      }],
    )
    cloudtrail = [{
      Sid       = "Trail"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = ["kms:GenerateDataKey"]
      Resource  = "*"
      Condition = { StringLike = { "kms:EncryptionContext:aws:cloudtrail:arn" = "arn:aws:cloudtrail:*:${local.account}:trail/*" } }
      }, {
      Sid       = "TrailLooksAtKey"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = ["kms:DescribeKey"]
      Resource  = "*"
      }, {
      Sid       = "LogGroups"
      Effect    = "Allow"
      Principal = { Service = "logs.${local.region}.amazonaws.com" }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"]
      Resource  = "*"
      Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${local.region}:${local.account}:log-group:*" } }
    }]
  }
}

resource "aws_kms_key" "this" {
  for_each = var.keys

  description             = local.descriptions[each.key]
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_in_days
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.account_statement], local.service_statements[each.key])
  })

  tags = var.tags
}

resource "aws_kms_alias" "this" {
  for_each = var.keys

  name          = "alias/${var.name}/${each.key}"
  target_key_id = aws_kms_key.this[each.key].key_id
}

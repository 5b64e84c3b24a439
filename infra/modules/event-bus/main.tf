data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

resource "aws_cloudwatch_event_bus" "this" {
  name               = var.name
  description        = "What our functions announce, and what people and pipelines ask"
  kms_key_identifier = var.kms_key_arn

  # Events that can't be encrypted or decrypted.
  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  tags = var.tags
}

resource "aws_cloudwatch_event_archive" "this" {
  name               = var.name
  description        = "Every event of the bus, to look at and to replay"
  event_source_arn   = aws_cloudwatch_event_bus.this.arn
  retention_days     = var.archive_retention_days
  kms_key_identifier = var.kms_key_arn
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-bus-dead-letters"
  message_retention_seconds = 1209600
  # Not the bus's key: what can't be encrypted with that one has to be kept all the same.
  sqs_managed_sse_enabled = true

  tags = var.tags
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Bus"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.dead_letters.arn
        Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:event-bus/${var.name}" } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.dead_letters.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

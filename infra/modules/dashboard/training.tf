# Training jobs that completed and failed: SageMaker has no such metric, so its events are logged and counted.
locals {
  training_namespace = "RetailForecast/Training"
  counted            = { Completed = "${var.project}-TrainingJobsCompleted", Failed = "${var.project}-TrainingJobsFailed" }
}

resource "aws_cloudwatch_log_group" "training" {
  name              = "/aws/events/${var.project}-training"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn

  tags = var.tags
}

resource "aws_cloudwatch_log_resource_policy" "training" {
  policy_name = "${var.project}-training"
  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = ["events.amazonaws.com", "delivery.logs.amazonaws.com"] }
        Action    = "logs:CreateLogStream"
        Resource  = "${aws_cloudwatch_log_group.training.arn}:*"
      },
      {
        Effect    = "Allow"
        Principal = { Service = ["events.amazonaws.com", "delivery.logs.amazonaws.com"] }
        Action    = "logs:PutLogEvents"
        Resource  = "${aws_cloudwatch_log_group.training.arn}:*:*"
        Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.training.arn } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_rule" "training" {
  name        = "${var.project}-dashboard-training"
  description = "Training jobs of ours that ended, for the dashboard"
  event_pattern = jsonencode({
    source      = ["aws.sagemaker"]
    detail-type = ["SageMaker Training Job State Change"]
    detail = {
      TrainingJobName   = [{ prefix = "retail-forecast-build-" }]
      TrainingJobStatus = keys(local.counted)
    }
  })

  tags = var.tags
}

resource "aws_cloudwatch_event_target" "training" {
  rule      = aws_cloudwatch_event_rule.training.name
  target_id = "log"
  arn       = aws_cloudwatch_log_group.training.arn
}

resource "aws_cloudwatch_log_metric_filter" "training" {
  for_each = local.counted

  name           = each.value
  log_group_name = aws_cloudwatch_log_group.training.name
  pattern        = "{ $.detail.TrainingJobStatus = \"${each.key}\" }"

  metric_transformation {
    namespace     = local.training_namespace
    name          = each.value
    value         = "1"
    default_value = "0"
  }
}

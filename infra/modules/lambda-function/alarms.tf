locals {
  # Name, metric and threshold; all look at minutes, and silence is good. AWS leaves a message out of the oldest's age
  # once it was received more than three times: what fails again and again shows as errors, and then as a dead letter.
  alarms = {
    errors = {
      description = "invocations fail"
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = var.name }
      threshold   = 0
      statistic   = "Sum"
    }
    throttles = {
      description = "invocations are throttled"
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = var.name }
      threshold   = 0
      statistic   = "Sum"
    }
    oldest-message = {
      description = "a message waits longer than any that waits by design"
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = var.name }
      threshold   = var.limits.oldest_message_s
      statistic   = "Maximum"
    }
    dead-letters = {
      description = "messages were given up; their reason is in their attributes"
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = "${var.name}-dead-letters" }
      threshold   = 0
      statistic   = "Maximum"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${var.name}: ${each.value.description}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = each.key == "throttles" ? 5 : 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]

  tags = var.tags
}

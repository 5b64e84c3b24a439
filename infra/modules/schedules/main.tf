# Rules, not EventBridge Scheduler: the functions know the event that a rule makes (`Scheduled Event`), and one
# that comes twice has the same id.
resource "aws_cloudwatch_event_rule" "this" {
  for_each = var.schedules

  name                = each.key
  description         = each.value.description
  schedule_expression = each.value.schedule
  state               = var.enabled ? "ENABLED" : "DISABLED"

  tags = var.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = var.schedules

  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "queue"
  arn       = each.value.queue_arn

  dead_letter_config {
    arn = each.value.dead_letter_arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}

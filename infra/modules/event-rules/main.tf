resource "aws_cloudwatch_event_rule" "this" {
  for_each = var.rules

  name           = each.key
  description    = each.value.description
  event_bus_name = each.value.bus
  event_pattern  = each.value.pattern

  tags = var.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = var.rules

  rule           = aws_cloudwatch_event_rule.this[each.key].name
  event_bus_name = each.value.bus
  target_id      = "queue"
  arn            = each.value.queue_arn

  dead_letter_config {
    arn = each.value.dead_letter_arn
  }

  # As long as EventBridge tries; then the event is a dead letter, not lost.
  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}

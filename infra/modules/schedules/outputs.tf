output "rule_arns" {
  description = "ARNs by schedule."
  value       = { for name in keys(var.schedules) : name => aws_cloudwatch_event_rule.this[name].arn }
}

output "rule_arns" {
  description = "ARNs by rule."
  value       = { for name in keys(var.rules) : name => aws_cloudwatch_event_rule.this[name].arn }
}

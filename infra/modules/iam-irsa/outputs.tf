output "role_arns" {
  description = "ARNs by add-on, for the annotation `eks.amazonaws.com/role-arn` of its service account."
  value       = { for name in keys(local.role_names) : name => aws_iam_role.this[name].arn }
}

output "api_role_arn" {
  description = "Role of the forecasting API's pods."
  value       = aws_iam_role.api.arn
}

output "pod_log_group_name" {
  description = "Where Fluent Bit writes the pods' logs."
  value       = aws_cloudwatch_log_group.pods.name
}

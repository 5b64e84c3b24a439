output "provider_arn" {
  description = "The account's identity provider for GitHub."
  value       = local.provider_arn
}

output "role_arns" {
  description = "ARNs by role, for `role-to-assume` of a workflow."
  value       = { for name in keys(var.roles) : name => aws_iam_role.this[name].arn }
}

output "max_session_s" {
  description = "How long the roles' credentials are good for, at most."
  value       = var.max_session_s
}

output "repository_urls" {
  description = "Where images are pushed to, by repository."
  value       = { for name in var.repository_names : name => aws_ecr_repository.this[name].repository_url }
}

output "repository_arns" {
  description = "ARNs by repository."
  value       = { for name in var.repository_names : name => aws_ecr_repository.this[name].arn }
}

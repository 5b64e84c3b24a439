output "repository_urls" {
  description = "Where images are pushed to."
  value       = module.ecr.repository_urls
}

output "trail_arn" {
  description = "ARN of the audit trail."
  value       = module.cloudtrail.trail_arn
}

output "github_provider_arn" {
  description = "Identity provider for GitHub, if made here."
  value       = one([for module in module.github_oidc : module.provider_arn])
}

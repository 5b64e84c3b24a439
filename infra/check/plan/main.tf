# What Terraform makes of the functions' files for a fixed place, for comparison with the local cloud's plan.
module "settings" {
  source   = "../../modules/settings"
  for_each = toset(["dev", "staging", "prod"])

  environment      = each.key
  region           = "ap-southeast-1"
  account_id       = "123456789012"
  service_url      = "http://service"
  data_key_arn     = "arn:aws:kms:ap-southeast-1:123456789012:key/data"
  messages_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/messages"
}

output "plan" {
  description = "By environment and function."
  value       = { for environment, settings in module.settings : environment => settings.functions }
}

output "roles" {
  description = "What others than the functions may do, by environment and role."
  value       = { for environment, settings in module.settings : environment => settings.roles }
}

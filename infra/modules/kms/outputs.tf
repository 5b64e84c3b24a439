output "key_arns" {
  description = "ARNs by key."
  value       = { for key in var.keys : key => aws_kms_key.this[key].arn }
}

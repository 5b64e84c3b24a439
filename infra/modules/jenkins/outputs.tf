output "instance_id" {
  description = "The server, for `aws ssm start-session --target`."
  value       = aws_instance.this.id
}

output "private_ip" {
  description = "Where Jenkins answers inside the network, on port 8080."
  value       = aws_instance.this.private_ip
}

output "role_arn" {
  description = "ARN of the server's role."
  value       = aws_iam_role.this.arn
}

output "security_group_id" {
  description = "Security group of the server."
  value       = aws_security_group.this.id
}

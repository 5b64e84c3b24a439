output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "Subnets of nodes and functions, by zone's order."
  value       = [for zone in local.zones : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  description = "Subnets of load balancers and NAT gateways, by zone's order."
  value       = [for zone in local.zones : aws_subnet.public[zone].id]
}

output "functions_security_group_id" {
  description = "Security group of the functions in the network."
  value       = aws_security_group.functions.id
}

output "private_zone_arn" {
  description = "Private DNS zone."
  value       = aws_route53_zone.this.arn
}

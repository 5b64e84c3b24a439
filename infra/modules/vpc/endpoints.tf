locals {
  # What the functions in the network call, then what the nodes do.
  function_endpoints = ["sqs", "events", "monitoring", "sagemaker.api", "ecr.api", "eks"]
  node_endpoints     = ["autoscaling", "ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "elasticloadbalancing", "logs", "monitoring", "sts"]
  # To reach an instance without SSH.
  session_endpoints = ["ssm", "ssmmessages", "ec2messages"]

  needed_without_nat = toset(concat(local.function_endpoints, local.node_endpoints))
  known_endpoints    = toset(concat(local.function_endpoints, local.node_endpoints, local.session_endpoints))
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]

  tags = merge(var.tags, { Name = "${var.name}-s3" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.interface_endpoints

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${data.aws_region.current.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.endpoints.id]

  tags = merge(var.tags, { Name = "${var.name}-${each.value}" })
}

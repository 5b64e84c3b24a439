resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "Interface endpoints of AWS services"
  vpc_id      = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id = aws_security_group.endpoints.id
  description       = "Addresses of the network"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = var.cidr
}

# Functions that reach the private cluster and the API behind its load balancer. Nothing reaches them.
resource "aws_security_group" "functions" {
  name        = "${var.name}-functions"
  description = "Functions in the network"
  vpc_id      = aws_vpc.this.id

  tags = merge(var.tags, { Name = "${var.name}-functions" })
}

resource "aws_vpc_security_group_egress_rule" "functions_inside" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.functions.id
  description       = "Cluster, endpoints and load balancer of the API (${each.key})"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = var.cidr
}

resource "aws_vpc_security_group_egress_rule" "functions_s3" {
  security_group_id = aws_security_group.functions.id
  description       = "S3, through its gateway endpoint"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
}

resource "aws_vpc_security_group_egress_rule" "functions_outside" {
  for_each = length(setsubtract(local.function_endpoints, var.interface_endpoints)) == 0 ? toset([]) : toset(["aws"])

  security_group_id = aws_security_group.functions.id
  description       = "AWS services without an endpoint in the network, through the NAT gateway"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

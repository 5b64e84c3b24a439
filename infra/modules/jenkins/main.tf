data "aws_ssm_parameter" "image" {
  # Ubuntu has buildah, skopeo and rustup, which Amazon Linux hasn't, and Amazon's agent for sessions.
  name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
}

resource "aws_iam_role" "this" {
  name        = var.role_name
  description = "Pipelines of ${var.name}"
  # No condition on the source: EC2 gives none when an instance takes its role, and only this account's may.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })

  tags = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "pipeline"
  role   = aws_iam_role.this.id
  policy = var.policy
}

# People reach the server by sessions: no SSH, no key pair, no open port.
resource "aws_iam_role_policy_attachment" "sessions" {
  role       = aws_iam_role.this.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "this" {
  name = var.role_name
  role = aws_iam_role.this.name

  tags = var.tags
}

resource "aws_security_group" "this" {
  name        = var.name
  description = "Jenkins"
  vpc_id      = var.vpc_id

  tags = merge(var.tags, { Name = var.name })
}

resource "aws_vpc_security_group_ingress_rule" "page" {
  for_each = var.allowed_cidrs

  security_group_id = aws_security_group.this.id
  description       = "Page of Jenkins"
  ip_protocol       = "tcp"
  from_port         = 8080
  to_port           = 8080
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, the cluster, sources and packages"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "http" {
  for_each = { api = var.network_cidr, packages = "0.0.0.0/0" }

  security_group_id = aws_security_group.this.id
  description       = each.key == "api" ? "The forecasting API inside the network" : "Signed packages of the distribution: its mirrors have no HTTPS"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = each.value
}

resource "aws_instance" "this" {
  ami                         = data.aws_ssm_parameter.image.value
  instance_type               = var.instance_type
  subnet_id                   = var.subnet_id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = aws_iam_instance_profile.this.name
  associate_public_ip_address = false
  monitoring                  = true
  ebs_optimized               = true
  user_data                   = file("${path.module}/user-data.sh")

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # A container is one hop away: a build's container can't take the server's role.
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.disk_gb
    encrypted   = true
    kms_key_id  = var.disk_key_arn
  }

  tags = merge(var.tags, { Name = var.name })

  lifecycle {
    # A newer image or script is for the next server: replacing this one would lose its jobs.
    ignore_changes = [ami, user_data]
  }
}

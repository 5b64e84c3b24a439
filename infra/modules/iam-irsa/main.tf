data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region

  policies = {
    cluster-autoscaler           = local.cluster_autoscaler
    aws-load-balancer-controller = local.load_balancer_controller
    external-dns                 = local.external_dns
    fluent-bit                   = local.fluent_bit
  }

  # The owner's names.
  role_names = {
    cluster-autoscaler           = "eks-cluster-autoscaler-role${var.name_suffix}"
    aws-load-balancer-controller = "aws-load-balancer-controller-role${var.name_suffix}"
    external-dns                 = "external-dns-role${var.name_suffix}"
    fluent-bit                   = "fluent-bit-role${var.name_suffix}"
  }
}

resource "aws_iam_role" "this" {
  for_each = local.role_names

  name = each.value
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = var.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${var.oidc_issuer}:aud" = "sts.amazonaws.com"
          "${var.oidc_issuer}:sub" = "system:serviceaccount:${replace(var.service_accounts[each.key], "/", ":")}"
        }
      }
    }]
  })

  tags = var.tags
}

resource "aws_iam_role_policy" "this" {
  for_each = local.role_names

  name   = each.key
  role   = aws_iam_role.this[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.policies[each.key] })
}

# Fluent Bit writes here, and makes no group of its own: this one has a retention and a key.
resource "aws_cloudwatch_log_group" "pods" {
  name              = "/aws/eks/${var.cluster_name}/pods"
  retention_in_days = var.pod_log_retention_days
  kms_key_id        = var.log_key_arn

  tags = var.tags
}

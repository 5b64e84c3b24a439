data "aws_caller_identity" "current" {}

locals {
  host         = "token.actions.githubusercontent.com"
  audience     = "sts.amazonaws.com"
  provider_arn = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${local.host}"
}

# AWS knows GitHub's certificates: no thumbprint.
resource "aws_iam_openid_connect_provider" "this" {
  for_each = var.create_provider ? toset(["github"]) : toset([])

  url            = "https://${local.host}"
  client_id_list = [local.audience]

  tags = var.tags
}

resource "aws_iam_role" "this" {
  for_each = var.roles

  name                 = each.key
  description          = "Workflows of ${var.repository}: ${join(", ", each.value.subjects)}"
  max_session_duration = var.max_session_s
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = local.provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${local.host}:aud" = local.audience
          "${local.host}:sub" = [for subject in each.value.subjects : "repo:${var.repository}:${subject}"]
        }
      }
    }]
  })

  tags = var.tags

  depends_on = [aws_iam_openid_connect_provider.this]
}

resource "aws_iam_role_policy" "this" {
  for_each = var.roles

  name   = "pipeline"
  role   = aws_iam_role.this[each.key].id
  policy = each.value.policy
}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  # By name, so that function and role don't wait for each other.
  function_arn = "arn:aws:lambda:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:function:${var.name}"

  tracing = [{
    # Lambda's: segments have no resource.
    Sid      = "Trace"
    Effect   = "Allow"
    Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
    Resource = "*"
  }]

  # Lambda makes a function's network interfaces with the function's role, and checks the role by calls that
  # name no resource. The function's own code is denied all of it.
  network_actions = [
    "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
  ]
  network = [
    {
      Sid      = "LambdaMakesInterfaces"
      Effect   = "Allow"
      Action   = local.network_actions
      Resource = "*"
    },
    {
      Sid       = "CodeDoesNot"
      Effect    = "Deny"
      Action    = local.network_actions
      Resource  = "*"
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
    },
  ]
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "The function ${var.name}"
  # No condition on the source: Lambda gives none when it takes an execution role.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })

  tags = var.tags
}

# What the function calls: the file that the local cloud holds it to, as well.
resource "aws_iam_role_policy" "this" {
  name   = var.name
  role   = aws_iam_role.this.id
  policy = var.policy
}

# What Lambda calls in the function's name.
resource "aws_iam_role_policy" "runtime" {
  name   = "runtime"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.tracing, [for statement in local.network : statement if var.vpc != null]) })
}

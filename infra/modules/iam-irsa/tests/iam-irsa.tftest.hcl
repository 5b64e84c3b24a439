mock_provider "aws" {
  source = "../../mocks"
}

variables {
  cluster_name      = "retail-mlops-dev"
  oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.ap-southeast-1.amazonaws.com/id/X"
  oidc_issuer       = "oidc.eks.ap-southeast-1.amazonaws.com/id/X"
  private_zone_arn  = "arn:aws:route53:::hostedzone/Z"
  vpc_id            = "vpc-1"
  log_key_arn       = "arn:aws:kms:ap-southeast-1:123456789012:key/logs"
  api = {
    role_name       = "retail-forecast-dev-api"
    namespace       = "retail-forecast-dev"
    service_account = "retail-forecast-api"
    policy          = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\"],\"Resource\":\"arn:aws:s3:::artifacts/models/*\"}]}"
  }
}

run "the_owners_roles_each_for_one_service_account" {
  assert {
    condition     = sort([for role in aws_iam_role.this : role.name]) == tolist(["aws-load-balancer-controller-role", "eks-cluster-autoscaler-role", "external-dns-role", "fluent-bit-role"])
    error_message = "The owner's names."
  }

  assert {
    condition = alltrue([
      for role in aws_iam_role.this :
      can(regex("^system:serviceaccount:kube-system:[a-z-]+$", jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["oidc.eks.ap-southeast-1.amazonaws.com/id/X:sub"]))
    ])
    error_message = "Each is one service account's."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this["external-dns"].policy).Statement[0].Resource == "arn:aws:route53:::hostedzone/Z"
    error_message = "External-dns writes one zone."
  }

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_role_policy.this : [
        for statement in jsondecode(policy.policy).Statement : [
          for action in flatten([statement.Action]) : can(regex(":(Describe|List|Get)", action)) if statement.Resource == "*"
        ]
      ]
    ]))
    error_message = "A wildcard is for looking only."
  }
}

run "the_apis_role" {
  assert {
    condition     = jsondecode(aws_iam_role.api.assume_role_policy).Statement[0].Condition.StringEquals["aws:RequestTag/kubernetes-service-account"] == "retail-forecast-api"
    error_message = "The API's service account takes it, no other."
  }

  assert {
    condition     = aws_eks_pod_identity_association.api.namespace == "retail-forecast-dev"
    error_message = "In its namespace."
  }

  assert {
    condition     = aws_iam_role_policy.api.policy == var.api.policy
    error_message = "It may do what the file says."
  }
}

run "a_wildcard_in_the_apis_actions_is_refused" {
  command = plan

  variables {
    api = {
      role_name       = "retail-forecast-dev-api"
      namespace       = "retail-forecast-dev"
      service_account = "retail-forecast-api"
      policy          = "{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:*\"],\"Resource\":\"arn:aws:s3:::artifacts/models/*\"}]}"
    }
  }

  expect_failures = [var.api]
}

run "names_where_environments_share_an_account" {
  variables {
    name_suffix = "-dev"
  }

  assert {
    condition     = aws_iam_role.this["fluent-bit"].name == "fluent-bit-role-dev"
    error_message = "Names don't meet."
  }
}

run "a_wildcard_for_a_service_account_is_refused" {
  command = plan

  variables {
    service_accounts = {
      cluster-autoscaler           = "kube-system/*"
      aws-load-balancer-controller = "kube-system/a"
      external-dns                 = "kube-system/b"
      fluent-bit                   = "kube-system/c"
    }
  }

  expect_failures = [var.service_accounts]
}

run "a_missing_service_account_is_refused" {
  command = plan

  variables {
    service_accounts = { fluent-bit = "kube-system/fluent-bit" }
  }

  expect_failures = [var.service_accounts]
}

run "an_issuer_as_url_is_refused" {
  command = plan

  variables {
    oidc_issuer = "https://oidc.eks.ap-southeast-1.amazonaws.com/id/X"
  }

  expect_failures = [var.oidc_issuer]
}

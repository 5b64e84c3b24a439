mock_provider "aws" {
  source = "../../mocks"
}

variables {
  repository = "example/retail-mlops"
  roles = {
    GitHubActionsRole = { subjects = ["environment:prod", "ref:refs/heads/main"], policy = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

run "pinned_to_repository_and_environment" {
  assert {
    condition     = jsondecode(aws_iam_role.this["GitHubActionsRole"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:example/retail-mlops:environment:prod", "repo:example/retail-mlops:ref:refs/heads/main"]
    error_message = "These workflows and no other."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["GitHubActionsRole"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    error_message = "The audience is STS."
  }

  assert {
    condition     = aws_iam_openid_connect_provider.this["github"].url == "https://token.actions.githubusercontent.com"
    error_message = "GitHub's provider."
  }
}

run "where_the_account_has_a_provider" {
  variables {
    create_provider = false
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.this) == 0 && output.provider_arn == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    error_message = "It is named, not made."
  }
}

run "immutable_subjects" {
  variables {
    repository = "example@1234/retail-mlops@5678"
  }

  assert {
    condition     = strcontains(aws_iam_role.this["GitHubActionsRole"].assume_role_policy, "repo:example@1234/retail-mlops@5678:environment:prod")
    error_message = "As GitHub's token names the repository."
  }
}

run "every_repository_of_an_owner_is_refused" {
  command = plan

  variables {
    repository = "example/*"
  }

  expect_failures = [var.repository]
}

run "every_workflow_is_refused" {
  command = plan

  variables {
    roles = { r = { subjects = ["*"], policy = "{\"Statement\":[]}" } }
  }

  expect_failures = [var.roles]
}

run "every_branch_is_refused" {
  command = plan

  variables {
    roles = { r = { subjects = ["ref:refs/heads/*"], policy = "{\"Statement\":[]}" } }
  }

  expect_failures = [var.roles]
}

run "a_role_for_nobody_is_refused" {
  command = plan

  variables {
    roles = { r = { subjects = [], policy = "{\"Statement\":[]}" } }
  }

  expect_failures = [var.roles]
}

run "a_wildcard_in_an_action_is_refused" {
  command = plan

  variables {
    roles = { r = { subjects = ["environment:prod"], policy = jsonencode({ Statement = [{ Effect = "Allow", Action = ["s3:Put*"], Resource = "*" }] }) } }
  }

  expect_failures = [var.roles]
}

run "everything_but_an_action_is_refused" {
  command = plan

  variables {
    roles = { r = { subjects = ["environment:prod"], policy = jsonencode({ Statement = [{ Effect = "Allow", NotAction = "iam:PassRole", Resource = "*" }] }) } }
  }

  expect_failures = [var.roles]
}

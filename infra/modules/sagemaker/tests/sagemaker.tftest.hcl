mock_provider "aws" {
  source = "../../mocks"
}

variables {
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["s3:GetObject"], Resource = "arn:aws:s3:::artifacts/models/*" }] })
}

run "the_owners_role" {
  assert {
    condition     = aws_iam_role.this.name == "sagemaker-exec-role"
    error_message = "The owner's name."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Taken for this account only."
  }

  assert {
    condition     = aws_iam_role_policy.this.policy == var.policy
    error_message = "It may do what the file says."
  }
}

run "a_wildcard_in_an_action_is_refused" {
  command = plan

  variables {
    policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["s3:Get*"], Resource = "arn:aws:s3:::artifacts/models/*" }] })
  }

  expect_failures = [var.policy]
}

run "an_impossible_name_is_refused" {
  command = plan

  variables {
    role_name = "a role"
  }

  expect_failures = [var.role_name]
}

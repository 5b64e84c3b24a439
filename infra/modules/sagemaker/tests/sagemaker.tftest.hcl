mock_provider "aws" {
  source = "../../mocks"
}

variables {
  endpoint_name      = "retail-forecast-dev"
  log_retention_days = 30
  log_key_arn        = "arn:aws:kms:ap-southeast-1:123456789012:key/logs"
  policy             = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["s3:GetObject"], Resource = "arn:aws:s3:::artifacts/models/*" }] })
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

run "the_endpoints_logs" {
  assert {
    condition     = aws_cloudwatch_log_group.endpoint.name == "/aws/sagemaker/Endpoints/retail-forecast-dev" && aws_cloudwatch_log_group.endpoint.retention_in_days == 30 && aws_cloudwatch_log_group.endpoint.kms_key_id == var.log_key_arn
    error_message = "The group that SageMaker writes to, kept for a while, encrypted."
  }
}

run "a_retention_that_cloudwatch_has_not_is_refused" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "an_impossible_endpoint_is_refused" {
  command = plan

  variables {
    endpoint_name = "retail_forecast"
  }

  expect_failures = [var.endpoint_name]
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

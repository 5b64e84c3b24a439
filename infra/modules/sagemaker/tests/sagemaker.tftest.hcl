mock_provider "aws" {
  source = "../../mocks"
}

variables {
  artifacts_bucket_name = "artifacts"
  kms_key_arn           = "arn:aws:kms:ap-southeast-1:123456789012:key/data"
}

run "least_privilege" {
  assert {
    condition     = aws_iam_role.this.name == "sagemaker-exec-role"
    error_message = "The owner's name."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Taken for this account only."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.this.policy).Statement :
      contains(["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"], statement.Action) if statement.Resource == "*"
    ])
    error_message = "A wildcard stands only where there is no resource level."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_iam_role_policy.this.policy).Statement :
      statement.Action == "cloudwatch:DescribeAlarms" && statement.Resource == "arn:aws:cloudwatch:ap-southeast-1:123456789012:alarm:*"
    ])
    error_message = "Updates of endpoints look at their alarms."
  }

  assert {
    condition     = !can(regex("s3:\\*|sagemaker:|Resource\":\"arn:aws:s3:::artifacts/\\*", aws_iam_role_policy.this.policy))
    error_message = "Not the whole bucket, and nothing of SageMaker."
  }
}

run "an_impossible_name_is_refused" {
  command = plan

  variables {
    role_name = "a role"
  }

  expect_failures = [var.role_name]
}

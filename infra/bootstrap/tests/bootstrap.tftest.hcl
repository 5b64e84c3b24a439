mock_provider "aws" {
  source = "../mocks"
}

variables {
  account_id = "123456789012"
}

run "the_states_are_safe" {
  command = plan

  assert {
    condition     = aws_s3_bucket.this.bucket == "terraform-state-retail-mlops-123456789012" && aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket that `make init` names, with versions."
  }

  assert {
    condition     = aws_kms_alias.this.name == "alias/${aws_s3_bucket.this.bucket}"
    error_message = "And the key that it names."
  }
}

run "what_can_not_be_meant_is_refused" {
  command = plan

  variables {
    account_id = "terraform"
    region     = "singapore"
  }

  expect_failures = [var.account_id, var.region]
}

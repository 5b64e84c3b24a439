mock_provider "aws" {
  source = "../mocks"
}

variables {
  account_id = "123456789012"
}

run "repositories_and_trail" {
  variables {
    github_repository = null
  }

  assert {
    condition     = join(",", sort(keys(output.repository_urls))) == "retail-forecast-infer,retail-forecast-train"
    error_message = "The owner's two repositories."
  }

  assert {
    condition     = sort([for group in aws_cloudwatch_log_group.jobs : group.name]) == tolist(["/aws/sagemaker/TrainingJobs", "/aws/sagemaker/TransformJobs"]) && alltrue([for group in aws_cloudwatch_log_group.jobs : group.retention_in_days == 365 && group.kms_key_id == module.kms.key_arns.logs])
    error_message = "The logs of jobs are kept for a year, encrypted by our key."
  }

  assert {
    condition     = output.github_provider_arn == null
    error_message = "No provider that nobody asked for."
  }
}

run "with_github" {
  variables {
    github_repository = "example/retail-mlops"
  }

  assert {
    condition     = output.github_provider_arn == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    error_message = "GitHub's provider."
  }
}

run "a_retention_that_cloudwatch_has_not_is_refused" {
  command = plan

  variables {
    job_log_retention_days = 100
  }

  expect_failures = [var.job_log_retention_days]
}

run "what_can_not_be_meant_is_refused" {
  command = plan

  variables {
    account_id        = "1"
    region            = "singapore"
    github_repository = "https://github.com/example/retail-mlops"
    tags              = { Project = "another" }
  }

  expect_failures = [var.account_id, var.region, var.github_repository, var.tags]
}

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

run "what_is_no_account_is_refused" {
  command = plan

  variables {
    account_id = "1"
  }

  expect_failures = [var.account_id]
}

# The environments' variables are the same in each: `check/environments.py` sees to that.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  account_id         = "123456789012"
  cluster_admin_arns = ["arn:aws:iam::123456789012:role/platform-admin"]
  packages           = { bucket = "packages", prefix = "build-1-0a1b2c3/" }
}

run "copies_if_wanted" {
  variables {
    replication = {
      data_bucket_arn      = "arn:aws:s3:::copies-of-data"
      artifacts_bucket_arn = "arn:aws:s3:::copies-of-artifacts"
      kms_key_arn          = "arn:aws:kms:ap-southeast-2:123456789012:key/copies"
    }
  }

  assert {
    condition     = output.data_bucket_name != output.artifacts_bucket_name
    error_message = "An environment with copies in another region."
  }
}

run "what_can_not_be_meant_is_refused" {
  command = plan

  variables {
    account_id            = "1"
    region                = "Singapore"
    cluster_admin_arns    = []
    cluster_access_cidrs  = ["0.0.0.0/0"]
    alert_email_addresses = ["somebody"]
    alert_slack           = { team_id = "our team", channel_id = "#alerts" }
    github_repository     = "https://github.com/example/retail-mlops"
    architecture          = "riscv64"
    service_url           = "api.retail-forecast-dev.internal"
    frozen                = "a \"reason\""
    replication           = { data_bucket_arn = "copies", artifacts_bucket_arn = "copies", kms_key_arn = "key" }
    tags                  = { Environment = "mine" }
  }

  expect_failures = [
    var.account_id, var.region, var.cluster_admin_arns, var.cluster_access_cidrs, var.alert_email_addresses, var.alert_slack,
    var.github_repository, var.architecture, var.service_url, var.frozen, var.replication, var.tags,
  ]
}

mock_provider "aws" {
  source = "../../mocks"
}

variables {
  data_bucket_name      = "retail-mlops-data-123456789012-ap-southeast-1"
  artifacts_bucket_name = "retail-mlops-artifacts-123456789012-ap-southeast-1"
  logs_bucket_name      = "retail-mlops-logs-123456789012-ap-southeast-1"
  kms_key_arn           = "arn:aws:kms:ap-southeast-1:123456789012:key/data"
}

run "closed_encrypted_and_versioned" {
  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "Nothing is public."
  }

  assert {
    condition     = alltrue([for bucket in ["data", "artifacts", "logs"] : aws_s3_bucket_versioning.this[bucket].versioning_configuration[0].status == "Enabled"])
    error_message = "All have versions."
  }

  assert {
    condition     = alltrue([for policy in aws_s3_bucket_policy.this : contains([for statement in jsondecode(policy.policy).Statement : statement.Sid if statement.Effect == "Deny"], "TlsOnly")])
    error_message = "All are reached by TLS only."
  }

  assert {
    # A denial with a missing key would deny every upload that names no encryption.
    condition = alltrue(flatten([
      for policy in aws_s3_bucket_policy.this : [
        for statement in jsondecode(policy.policy).Statement : can(statement.Condition.Null) if statement.Effect == "Deny" && can(statement.Condition.StringNotEquals)
      ]
    ]))
    error_message = "What isn't named isn't denied."
  }

  assert {
    condition     = aws_s3_bucket_notification.data.eventbridge
    error_message = "Uploads wake EventBridge."
  }

  assert {
    condition     = length(aws_s3_bucket_replication_configuration.this) == 0
    error_message = "No copies unless wanted."
  }
}

run "what_a_rollback_needs_does_not_expire" {
  assert {
    condition = length(setintersection(
      [for rule in aws_s3_bucket_lifecycle_configuration.this["artifacts"].rule : rule.id if length(rule.expiration) > 0],
      ["models-expire", "evaluations-expire", "releases-expire", "environments-expire", "baselines-expire"],
    )) == 0
    error_message = "Models, evaluations, releases, pointers and baselines stay."
  }

  assert {
    condition     = contains([for rule in aws_s3_bucket_lifecycle_configuration.this["artifacts"].rule : rule.id], "decisions-expire")
    error_message = "Records have a retention."
  }
}

run "copies" {
  variables {
    replication = {
      data_bucket_arn      = "arn:aws:s3:::copy-data"
      artifacts_bucket_arn = "arn:aws:s3:::copy-artifacts"
      kms_key_arn          = "arn:aws:kms:ap-southeast-2:123456789012:key/copy"
    }
  }

  assert {
    condition     = length(aws_s3_bucket_replication_configuration.this) == 2
    error_message = "Data and artifacts are copied."
  }
}

run "expiring_what_a_rollback_needs_is_refused" {
  command = plan

  variables {
    retention_days = { models = 365 }
  }

  expect_failures = [var.retention_days]
}

run "a_retention_shorter_than_a_dead_letters_life_is_refused" {
  command = plan

  variables {
    retention_days = { notifications = 7 }
  }

  expect_failures = [var.retention_days]
}

run "an_impossible_name_is_refused" {
  command = plan

  variables {
    data_bucket_name = "Data_Bucket"
  }

  expect_failures = [var.data_bucket_name]
}

run "a_copy_to_something_else_is_refused" {
  command = plan

  variables {
    replication = { data_bucket_arn = "copy-data", artifacts_bucket_arn = "arn:aws:s3:::x", kms_key_arn = "arn:aws:kms:r:1:key/x" }
  }

  expect_failures = [var.replication]
}

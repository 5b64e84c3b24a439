mock_provider "aws" {
  source = "../../mocks"
}

variables {
  bucket_name             = "retail-mlops-trail-123456789012-ap-southeast-1"
  kms_key_arn             = "arn:aws:kms:ap-southeast-1:123456789012:key/trail"
  data_event_arn_prefixes = ["arn:aws:s3:::retail-mlops-data-123456789012-ap-southeast-1"]
}

run "everywhere_validated_and_with_data_events" {
  assert {
    condition     = aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.enable_log_file_validation && aws_cloudtrail.this.kms_key_id == var.kms_key_arn
    error_message = "All regions, files that can be checked, under a key."
  }

  assert {
    condition     = length(aws_cloudtrail.this.advanced_event_selector) == 2
    error_message = "Management events, and who touched the data."
  }

  assert {
    condition     = length(aws_cloudtrail.this.insight_selector) == 0
    error_message = "Insights cost, so only if wanted."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.this.policy).Statement : can(statement.Condition)])
    error_message = "The bucket is this trail's, and by TLS."
  }
}

run "with_insights" {
  variables {
    insights = true
  }

  assert {
    condition     = length(aws_cloudtrail.this.insight_selector) == 2
    error_message = "Rates of calls and of errors."
  }
}

run "all_buckets_are_refused" {
  command = plan

  variables {
    data_event_arn_prefixes = ["arn:aws:s3"]
  }

  expect_failures = [var.data_event_arn_prefixes]
}

run "a_short_memory_is_refused" {
  command = plan

  variables {
    retention_days = 7
  }

  expect_failures = [var.retention_days]
}

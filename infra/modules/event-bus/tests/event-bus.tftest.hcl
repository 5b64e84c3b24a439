mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "retail-forecast-dev"
  kms_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/messages"
}

run "encrypted_and_archived" {
  assert {
    condition     = aws_cloudwatch_event_bus.this.kms_key_identifier == var.kms_key_arn && aws_cloudwatch_event_archive.this.kms_key_identifier == var.kms_key_arn
    error_message = "Bus and archive are encrypted."
  }

  assert {
    condition     = aws_cloudwatch_event_archive.this.retention_days == 90
    error_message = "Events can be replayed."
  }

  assert {
    condition     = aws_sqs_queue.dead_letters.sqs_managed_sse_enabled
    error_message = "Dead letters don't depend on the bus's key."
  }
}

run "the_default_bus_is_refused" {
  command = plan

  variables {
    name = "default"
  }

  expect_failures = [var.name]
}

run "an_archive_for_ever_is_refused" {
  command = plan

  variables {
    archive_retention_days = 0
  }

  expect_failures = [var.archive_retention_days]
}

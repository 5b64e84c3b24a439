mock_provider "aws" {
  source = "../../mocks"
}

variables {
  rules = {
    retail-forecast-dev-notify-outcome = {
      description     = "An outcome that people are told"
      bus             = "retail-forecast-dev"
      pattern         = "{\"source\":[\"retail-forecast\"],\"detail-type\":[\"ReleaseVerified\"]}"
      queue_arn       = "arn:aws:sqs:ap-southeast-1:123456789012:notify"
      dead_letter_arn = "arn:aws:sqs:ap-southeast-1:123456789012:notify-dead-letters"
    }
  }
}

run "nothing_is_lost" {
  assert {
    condition     = aws_cloudwatch_event_rule.this["retail-forecast-dev-notify-outcome"].event_bus_name == "retail-forecast-dev"
    error_message = "On its bus."
  }

  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.this : length(target.dead_letter_config) == 1])
    error_message = "What can't be delivered is buried, not dropped."
  }
}

run "a_pattern_without_a_source_is_refused" {
  command = plan

  variables {
    rules = { x = { description = "", bus = "default", pattern = "{\"detail\":{}}", queue_arn = "q", dead_letter_arn = "d" } }
  }

  expect_failures = [var.rules]
}

run "a_pattern_that_is_no_json_is_refused" {
  command = plan

  variables {
    rules = { x = { description = "", bus = "default", pattern = "source", queue_arn = "q", dead_letter_arn = "d" } }
  }

  expect_failures = [var.rules]
}

run "a_name_left_in_a_pattern_is_refused" {
  command = plan

  variables {
    rules = { x = { description = "", bus = "default", pattern = "{\"source\":[\"$${source}\"]}", queue_arn = "q", dead_letter_arn = "d" } }
  }

  expect_failures = [var.rules]
}

run "a_name_too_long_is_refused" {
  command = plan

  variables {
    rules = { retail-forecast-staging-a-function-whose-rule-has-a-name-of-more-than-64 = { description = "", bus = "default", pattern = "{\"source\":[\"s\"]}", queue_arn = "q", dead_letter_arn = "d" } }
  }

  expect_failures = [var.rules]
}

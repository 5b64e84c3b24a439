mock_provider "aws" {
  source = "../../mocks"
}

variables {
  schedules = {
    retail-forecast-dev-check-model-weekly-check = {
      description     = "Monday 02:00 UTC"
      schedule        = "cron(0 2 ? * MON *)"
      queue_arn       = "arn:aws:sqs:ap-southeast-1:123456789012:check-model"
      dead_letter_arn = "arn:aws:sqs:ap-southeast-1:123456789012:check-model-dead-letters"
    }
  }
}

run "the_weekly_check" {
  assert {
    condition     = aws_cloudwatch_event_rule.this["retail-forecast-dev-check-model-weekly-check"].schedule_expression == "cron(0 2 ? * MON *)" && aws_cloudwatch_event_rule.this["retail-forecast-dev-check-model-weekly-check"].state == "ENABLED"
    error_message = "Mondays at two, UTC."
  }
}

run "switched_off" {
  variables {
    enabled = false
  }

  assert {
    condition     = alltrue([for rule in aws_cloudwatch_event_rule.this : rule.state == "DISABLED"])
    error_message = "Nothing fires."
  }
}

run "a_schedule_of_five_fields_is_refused" {
  command = plan

  variables {
    schedules = { x = { description = "", schedule = "cron(0 2 * * MON)", queue_arn = "q", dead_letter_arn = "d" } }
  }

  expect_failures = [var.schedules]
}

run "a_rate_of_nothing_is_refused" {
  command = plan

  variables {
    schedules = { x = { description = "", schedule = "rate(0 days)", queue_arn = "q", dead_letter_arn = "d" } }
  }

  expect_failures = [var.schedules]
}

mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name             = "retail-forecast-dev-notify"
  package          = { bucket = "packages", key = "notify/bootstrap.zip" }
  policy           = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"TellPeople\",\"Effect\":\"Allow\",\"Action\":[\"sns:Publish\"],\"Resource\":\"arn:aws:sns:r:1:t\"}]}"
  rule_arns        = ["arn:aws:events:ap-southeast-1:123456789012:rule/retail-forecast-dev/retail-forecast-dev-notify-outcome"]
  messages_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/messages"
  log_key_arn      = "arn:aws:kms:ap-southeast-1:123456789012:key/logs"
  alarm_topic_arn  = "arn:aws:sns:ap-southeast-1:123456789012:retail-forecast-alerts"
  limits = {
    memory_mb            = 128
    timeout_s            = 30
    batch_size           = 5
    batching_window_s    = 0
    max_receive_count    = 500
    concurrency          = 2
    ephemeral_storage_mb = 512
    oldest_message_s     = 900
  }
}

run "runs_as_it_should" {
  assert {
    condition     = aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.tracing_config[0].mode == "Active"
    error_message = "Our own runtime on arm64, traced."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 2 && aws_lambda_event_source_mapping.this.scaling_config[0].maximum_concurrency == 2
    error_message = "As many invocations at once as the settings say."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "A bad message doesn't fail its neighbours."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/retail-forecast-dev-notify" && aws_cloudwatch_log_group.this.kms_key_id == var.log_key_arn
    error_message = "The group that its policy names, under a key."
  }

  assert {
    condition     = aws_sqs_queue.this.visibility_timeout_seconds == 180 && jsondecode(aws_sqs_queue.this.redrive_policy).maxReceiveCount == 500
    error_message = "Six timeouts of invisibility."
  }

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.this, aws_sqs_queue.dead_letters] : queue.kms_master_key_id == var.messages_key_arn && queue.message_retention_seconds == 1209600])
    error_message = "Messages are encrypted, and kept as long as SQS can."
  }

  assert {
    condition = alltrue([
      for policy in aws_sqs_queue_policy.this : jsondecode(policy.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"][0] == var.rule_arns[0]
    ])
    error_message = "Its rules fill the queue, and no other."
  }

  assert {
    condition     = join(",", sort(keys(aws_cloudwatch_metric_alarm.this))) == "dead-letters,errors,oldest-message,throttles"
    error_message = "Four alarms."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["oldest-message"].threshold == 900
    error_message = "A message that waits by design raises no alarm."
  }

  assert {
    condition     = aws_iam_role_policy.this.policy == var.policy && !strcontains(aws_iam_role_policy.runtime.policy, "ec2:")
    error_message = "What the file says, and nothing of a network outside of one."
  }
}

run "invoked_by_no_alarm" {
  assert {
    condition     = length(aws_lambda_permission.alarms) == 0
    error_message = "Its queue's mapping invokes it, and nothing else."
  }
}

run "invoked_by_alarms" {
  variables {
    alarm_arns = [
      "arn:aws:cloudwatch:ap-southeast-1:123456789012:alarm:RetailForecast-API-*-retail-forecast-dev*",
      "arn:aws:cloudwatch:ap-southeast-1:123456789012:alarm:RetailForecast-Endpoint-*-retail-forecast-dev-*",
    ]
  }

  assert {
    condition     = jsonencode(output.alarm_arns) == jsonencode(var.alarm_arns)
    error_message = "A permission for each name of alarms."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 3 && aws_lambda_event_source_mapping.this.scaling_config[0].maximum_concurrency == 2
    error_message = "Beside a full queue an alarm finds room."
  }

  assert {
    condition = alltrue([
      for permission in values(aws_lambda_permission.alarms) :
      permission.principal == "lambda.alarms.cloudwatch.amazonaws.com" && permission.source_account == "123456789012" && permission.action == "lambda:InvokeFunction" && permission.function_name == var.name
    ])
    error_message = "CloudWatch invokes it for alarms of this account."
  }
}

run "any_alarm_is_refused" {
  command = plan

  variables {
    alarm_arns = ["arn:aws:cloudwatch:ap-southeast-1:123456789012:alarm:*"]
  }

  expect_failures = [var.alarm_arns]
}

run "alarms_of_any_account_are_refused" {
  command = plan

  variables {
    alarm_arns = ["arn:aws:cloudwatch:ap-southeast-1:*:alarm:RetailForecast-API-*"]
  }

  expect_failures = [var.alarm_arns]
}

run "in_a_network" {
  variables {
    vpc = { subnet_ids = ["subnet-a"], security_group_ids = ["sg-a"] }
  }

  assert {
    condition     = aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-a"])
    error_message = "It runs in the network."
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_iam_role_policy.runtime.policy).Statement :
      statement.Effect == "Deny" && try(statement.Condition.ArnEquals["lambda:SourceFunctionArn"], "") == "arn:aws:lambda:ap-southeast-1:123456789012:function:retail-forecast-dev-notify"
    ])
    error_message = "Its code can't make interfaces."
  }
}

run "on_x86_without_reserving" {
  variables {
    architecture        = "x86_64"
    reserve_concurrency = false
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "Nothing is reserved."
  }
}

run "a_package_that_is_not_there_is_refused" {
  command = plan

  variables {
    package = { file = "nowhere/bootstrap.zip" }
  }

  expect_failures = [aws_lambda_function.this]
}

run "a_package_in_two_places_is_refused" {
  command = plan

  variables {
    package = { file = "bootstrap.zip", bucket = "b", key = "k" }
  }

  expect_failures = [var.package]
}

run "another_architecture_is_refused" {
  command = plan

  variables {
    architecture = "riscv64"
  }

  expect_failures = [var.architecture]
}

run "an_action_with_a_wildcard_is_refused" {
  command = plan

  variables {
    policy = "{\"Statement\":[{\"Action\":[\"s3:GetObject\",\"s3:*\"],\"Resource\":\"*\"}]}"
  }

  expect_failures = [var.policy]
}

run "part_of_an_action_as_wildcard_is_refused" {
  command = plan

  variables {
    policy = "{\"Statement\":[{\"Action\":\"s3:Get*\",\"Resource\":\"*\"}]}"
  }

  expect_failures = [var.policy]
}

run "a_function_that_nothing_wakes_is_refused" {
  command = plan

  variables {
    rule_arns = []
  }

  expect_failures = [var.rule_arns]
}

run "a_large_batch_without_a_window_is_refused" {
  command = plan

  variables {
    limits = { memory_mb = 128, timeout_s = 30, batch_size = 11, batching_window_s = 0, max_receive_count = 5, concurrency = 2, ephemeral_storage_mb = 512, oldest_message_s = 900 }
  }

  expect_failures = [var.limits]
}

run "too_little_memory_is_refused" {
  command = plan

  variables {
    limits = { memory_mb = 64, timeout_s = 30, batch_size = 1, batching_window_s = 0, max_receive_count = 5, concurrency = 2, ephemeral_storage_mb = 512, oldest_message_s = 900 }
  }

  expect_failures = [var.limits]
}

run "a_visibility_shorter_than_the_timeout_is_refused" {
  command = plan

  variables {
    visibility_timeout_s = 10
  }

  expect_failures = [var.visibility_timeout_s]
}

run "a_name_too_long_is_refused" {
  command = plan

  variables {
    name = "retail-forecast-staging-a-function-whose-name-does-not-end-where-it-should-end"
  }

  expect_failures = [var.name]
}

run "a_description_that_lambda_does_not_take_is_refused" {
  command = plan

  variables {
    description = join("", [for n in range(257) : "x"])
  }

  expect_failures = [var.description]
}

variables {
  environment      = "dev"
  region           = "ap-southeast-1"
  account_id       = "123456789012"
  service_url      = "http://service"
  data_key_arn     = "arn:aws:kms:ap-southeast-1:123456789012:key/data"
  messages_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/messages"
}

run "the_projects_own_files" {
  assert {
    condition     = length(output.functions) >= 10 && alltrue([for function in output.functions : length(function.rules) > 0])
    error_message = "Each function has a rule."
  }

  assert {
    condition     = output.functions["verify-release"].environment.ROLLOUT_LIMIT_S == "300" && output.functions["verify-release"].limits.vpc
    error_message = "300 s for a rollout, from inside the network."
  }

  assert {
    condition     = output.functions["check-model"].rules["weekly-check"].schedule == "cron(0 2 ? * MON *)"
    error_message = "The weekly check."
  }

  assert {
    condition     = !can(regex("\\$\\{", jsonencode(output.functions)))
    error_message = "Every name is filled."
  }

  assert {
    condition     = output.functions["deploy-release"].environment.ROLLBACK_FUNCTION_ARN == "arn:aws:lambda:ap-southeast-1:123456789012:function:${output.functions["roll-back"].name}"
    error_message = "Alarms of a release invoke the function that rolls back."
  }

  assert {
    condition     = join(",", [for name, function in output.functions : name if length(function.alarms) > 0]) == "roll-back"
    error_message = "And no alarm invokes another."
  }

  assert {
    condition     = output.functions["start-training"].environment.DATA_KEY_ARN == "arn:aws:kms:ap-southeast-1:123456789012:key/data"
    error_message = "Jobs are told their key."
  }

  assert {
    condition     = output.functions["deploy-release"].environment.FROZEN == ""
    error_message = "Not frozen."
  }
}

# What stands with which wildcard is told in infra/README.md.
run "roles_name_each_action_and_what_it_is_for" {
  assert {
    condition     = join(",", keys(output.roles)) == "api,pipeline,sagemaker" && !can(regex("\\$\\{", jsonencode(output.roles)))
    error_message = "SageMaker's, the API's and the pipelines', every name filled."
  }

  assert {
    condition = alltrue(flatten([
      for role in output.roles : [
        for statement in jsondecode(role).Statement : [for action in statement.Action : !strcontains(action, "*")]
      ]
    ]))
    error_message = "No action is a wildcard."
  }

  assert {
    condition = alltrue(flatten([
      for role in output.roles : [
        for statement in jsondecode(role).Statement :
        contains(["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "sagemaker:ListModelPackages"], statement.Action[0]) && length(statement.Action) == 1
        if contains(flatten([statement.Resource]), "*")
      ]
    ]))
    error_message = "A resource is a wildcard only where AWS has no resource level."
  }

  assert {
    condition     = !can(regex("sagemaker:|artifacts-[^\"/]*/\\*", output.roles.sagemaker)) && !strcontains(output.roles.sagemaker, "retail-mlops-data-")
    error_message = "SageMaker's role has nothing of SageMaker, never the whole bucket, and nothing of the uploads."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(output.roles.sagemaker).Statement :
      strcontains(jsonencode(statement), "diagnoses/*") if contains(["ListInputs", "ReadInputs"], statement.Sid)
    ])
    error_message = "A diagnosis' rows are an input, too."
  }
}

run "prod_has_ten_minutes" {
  variables {
    environment = "prod"
  }

  assert {
    condition     = output.functions["verify-release"].environment.ROLLOUT_LIMIT_S == "600"
    error_message = "600 s for a rollout in prod."
  }
}

run "frozen" {
  variables {
    frozen = "inventory week"
  }

  assert {
    condition     = output.functions["deploy-release"].environment.FROZEN == "inventory week"
    error_message = "The reason reaches the function."
  }
}

run "where_environments_share_an_account" {
  variables {
    shared_account = true
  }

  assert {
    condition     = output.names.data_bucket == "retail-mlops-data-123456789012-ap-southeast-1-dev" && output.functions["notify"].environment.ALERTS_TOPIC_ARN == "arn:aws:sns:ap-southeast-1:123456789012:retail-forecast-alerts-dev"
    error_message = "Names don't meet, and the functions know them."
  }
}

run "own_settings_win_and_names_are_filled" {
  variables {
    infra_dir    = "./tests/fixtures/good"
    patterns_dir = "./tests/fixtures/good/patterns"
    overrides    = { f = { C = "set" } }
  }

  assert {
    condition     = output.functions.f.limits.timeout_s == 60 && output.functions.f.limits.memory_mb == 128
    error_message = "Its own, else the default."
  }

  assert {
    condition     = jsonencode(output.functions.f.environment) == jsonencode({ A = "ap-southeast-1", B = "dev", C = "set" })
    error_message = "Defaults, its own, and what is set otherwise."
  }

  assert {
    condition     = jsondecode(output.functions.f.policy).Statement[0].Resource == "arn:aws:s3:::retail-mlops-data-123456789012-ap-southeast-1"
    error_message = "Names in policies are filled."
  }

  assert {
    condition     = output.functions.f.rules.uploads.arn == "arn:aws:events:ap-southeast-1:123456789012:rule/retail-forecast-dev/retail-forecast-dev-f-uploads"
    error_message = "A rule of our bus has the bus in its ARN."
  }

  assert {
    condition     = jsonencode(output.functions.f.alarms) == jsonencode(["arn:aws:cloudwatch:ap-southeast-1:123456789012:alarm:API-*-retail-forecast-dev"])
    error_message = "The alarms that may invoke it, by ARN."
  }

  assert {
    condition     = output.functions.f.queue.visibility_timeout_s == 360
    error_message = "Six timeouts."
  }
}

run "what_the_file_says_of_an_environment_wins" {
  variables {
    environment  = "prod"
    infra_dir    = "./tests/fixtures/good"
    patterns_dir = "./tests/fixtures/good/patterns"
  }

  assert {
    condition     = output.functions.f.environment.B == "more"
    error_message = "Prod's own."
  }
}

run "an_unknown_name_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/unknown-name"
    patterns_dir = "./tests/fixtures/unknown-name/patterns"
  }

  expect_failures = [output.functions]
}

run "an_expression_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/expression"
    patterns_dir = "./tests/fixtures/expression/patterns"
  }

  expect_failures = [output.functions]
}

run "a_directive_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/directive"
    patterns_dir = "./tests/fixtures/directive/patterns"
  }

  expect_failures = [output.functions]
}

run "a_misspelt_setting_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/misspelt-setting"
    patterns_dir = "./tests/fixtures/misspelt-setting/patterns"
  }

  expect_failures = [output.functions]
}

run "what_is_a_functions_own_is_no_default" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/own-as-default"
    patterns_dir = "./tests/fixtures/own-as-default/patterns"
  }

  expect_failures = [output.functions]
}

run "a_missing_default_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/missing-default"
    patterns_dir = "./tests/fixtures/missing-default/patterns"
  }

  expect_failures = [output.functions]
}

run "a_misspelt_part_of_a_rule_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/misspelt-rule"
    patterns_dir = "./tests/fixtures/misspelt-rule/patterns"
  }

  expect_failures = [output.functions]
}

run "a_pattern_without_its_bus_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/rule-without-bus"
    patterns_dir = "./tests/fixtures/rule-without-bus/patterns"
  }

  expect_failures = [output.functions]
}

run "a_rule_with_pattern_and_schedule_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/rule-with-both"
    patterns_dir = "./tests/fixtures/rule-with-both/patterns"
  }

  expect_failures = [output.functions]
}

run "a_file_of_no_function_is_refused" {
  command = plan

  variables {
    infra_dir    = "./tests/fixtures/stranger"
    patterns_dir = "./tests/fixtures/stranger/patterns"
  }

  expect_failures = [output.functions]
}

run "a_variable_that_no_function_has_is_refused" {
  command = plan

  variables {
    environment  = "prod"
    infra_dir    = "./tests/fixtures/set-nowhere"
    patterns_dir = "./tests/fixtures/set-nowhere/patterns"
  }

  expect_failures = [output.functions]
}

run "an_override_of_no_function_is_refused" {
  command = plan

  variables {
    overrides = { no-such-function = { A = "b" } }
  }

  expect_failures = [output.functions]
}

run "another_environment_is_refused" {
  command = plan

  variables {
    environment  = "qa"
    infra_dir    = "./tests/fixtures/good"
    patterns_dir = "./tests/fixtures/good/patterns"
  }

  expect_failures = [var.environment]
}

run "what_is_no_account_is_refused" {
  command = plan

  variables {
    account_id = "12345"
  }

  expect_failures = [var.account_id]
}

run "a_reason_with_quotes_is_refused" {
  command = plan

  variables {
    frozen = "a \"good\" reason"
  }

  expect_failures = [var.frozen]
}

run "an_address_without_a_scheme_is_refused" {
  command = plan

  variables {
    service_url = "retail-forecast-service"
  }

  expect_failures = [var.service_url]
}

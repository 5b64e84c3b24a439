mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name          = "retail-forecast-dev"
  event_bus_arn = "arn:aws:events:ap-southeast-1:123456789012:event-bus/retail-forecast-dev"
}

run "keys_rotate_and_services_may_use_them" {
  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.enable_key_rotation]) && length(aws_kms_key.this) == 5
    error_message = "Five keys, all of which rotate."
  }

  assert {
    condition     = aws_kms_alias.this["s3"].name == "alias/retail-forecast-dev/s3"
    error_message = "An alias names its key."
  }

  assert {
    condition     = sort([for statement in jsondecode(aws_kms_key.this["messages"].policy).Statement : statement.Sid]) == tolist(["AccountDecides", "AlarmsToTopic", "BusAndArchive", "BusLooksAtKey", "RulesToQueues"])
    error_message = "Rules reach encrypted queues, alarms the encrypted topic, and the bus its events."
  }

  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [
        for statement in jsondecode(key.policy).Statement : can(statement.Condition) if can(statement.Principal.Service) && jsonencode(statement.Action) != "[\"kms:DescribeKey\"]"
      ]
    ]))
    error_message = "A service may use a key for this account only."
  }

  assert {
    # EventBridge's calls for a queue's key name no source: such a condition would lose every event.
    condition     = !can(regex("aws:Source", aws_kms_key.this["messages"].policy))
    error_message = "Pinned by what is encrypted."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_kms_key.this["disks"].policy).Statement :
      statement.Condition.StringEquals["kms:CallerAccount"] == "123456789012" && statement.Condition.StringEquals["kms:ViaService"] == "ec2.ap-southeast-1.amazonaws.com"
      if jsonencode(statement.Principal) == jsonencode({ AWS = "*" })
    ])
    error_message = "Disks are encrypted for this account, through EC2 only."
  }

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.this["s3"].policy).Statement : statement.Sid] == ["AccountDecides"]
    error_message = "The data's key is for roles only."
  }
}

run "without_a_bus" {
  variables {
    event_bus_arn = null
    keys          = ["messages"]
  }

  assert {
    condition     = !strcontains(aws_kms_key.this["messages"].policy, "Bus")
    error_message = "No statement for a bus that isn't there."
  }
}

run "an_unknown_key_is_refused" {
  command = plan

  variables {
    keys = ["secrets"]
  }

  expect_failures = [var.keys]
}

run "an_alias_of_awss_own_is_refused" {
  command = plan

  variables {
    name = "aws-x"
  }

  expect_failures = [var.name]
}

run "a_window_that_kms_refuses_is_refused" {
  command = plan

  variables {
    deletion_window_in_days = 3
  }

  expect_failures = [var.deletion_window_in_days]
}

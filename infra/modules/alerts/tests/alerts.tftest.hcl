mock_provider "aws" {
  source = "../../mocks"
}

variables {
  kms_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/messages"
}

run "encrypted_and_by_tls_only" {
  assert {
    condition     = aws_sns_topic.this.name == "retail-forecast-alerts" && aws_sns_topic.this.kms_master_key_id == var.kms_key_arn
    error_message = "The owner's topic, encrypted."
  }

  assert {
    condition     = [for statement in jsondecode(aws_sns_topic_policy.this.policy).Statement : statement.Sid] == ["Alarms", "TlsOnly"]
    error_message = "Alarms of this account publish, by TLS."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0 && length(aws_chatbot_slack_channel_configuration.this) == 0
    error_message = "Nobody is told who isn't named."
  }
}

run "mail_and_slack" {
  variables {
    email_addresses = ["ann@example.com"]
    slack           = { team_id = "T0123456789", channel_id = "C0123456789" }
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 1 && aws_chatbot_slack_channel_configuration.this["this"].slack_channel_id == "C0123456789"
    error_message = "Both are told."
  }
}

run "what_is_no_address_is_refused" {
  command = plan

  variables {
    email_addresses = ["ann"]
  }

  expect_failures = [var.email_addresses]
}

run "a_channels_name_for_its_id_is_refused" {
  command = plan

  variables {
    slack = { team_id = "T0123456789", channel_id = "#ml-platform" }
  }

  expect_failures = [var.slack]
}

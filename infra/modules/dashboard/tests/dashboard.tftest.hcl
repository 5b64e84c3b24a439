mock_provider "aws" {
  source = "../../mocks"
}

variables {
  project            = "retail-forecast-dev"
  environment        = "dev"
  endpoint_name      = "retail-forecast-dev"
  load_balancer_name = "retail-forecast-dev"
  log_key_arn        = "arn:aws:kms:ap-southeast-1:123456789012:key/logs"
}

run "the_owners_four_widgets" {
  assert {
    condition     = aws_cloudwatch_dashboard.this.dashboard_name == "RetailForecast-CI-CD-Pipeline" && length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 4
    error_message = "Four widgets under the owner's name."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "DeploymentFrequency") && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "InvocationsPerInstance") && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "TargetResponseTime")
    error_message = "KPIs, endpoint, load balancer."
  }

  assert {
    condition = { for metric in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[3].properties.metrics : metric[1] => metric[4].stat if length(metric) == 5 } == {
      DeploymentCount = "Sum", DeploymentFrequency = "Sum", FailureRate = "Sum", LeadTime = "Average"
    }
    error_message = "Each deployment has its values: a day's deployments are their sum, the lead time their mean."
  }

  assert {
    condition = alltrue([
      for metric in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[3].properties.metrics :
      length(metric) == 5 ? metric[4].visible == !contains(["DeploymentCount", "FailureRate"], metric[1]) : metric[0].expression == "failurerate / deploymentcount"
    ])
    error_message = "A deployment that was rolled back adds to the failures and is no further deployment: the rate is the quotient of the sums."
  }

  assert {
    condition = alltrue([
      for filter in aws_cloudwatch_log_metric_filter.training : strcontains(aws_cloudwatch_dashboard.this.dashboard_body, filter.metric_transformation[0].name)
    ]) && length(aws_cloudwatch_log_metric_filter.training) == 2
    error_message = "What is counted is what is shown."
  }
}

run "an_unknown_environment_is_refused" {
  command = plan

  variables {
    environment = "qa"
  }

  expect_failures = [var.environment]
}

run "a_load_balancers_name_too_long_is_refused" {
  command = plan

  variables {
    load_balancer_name = "retail-forecast-staging-load-balancer"
  }

  expect_failures = [var.load_balancer_name]
}

mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name              = "retail-mlops-dev"
  private_zone_name = "retail-forecast-dev.internal"
  log_key_arn       = "arn:aws:kms:ap-southeast-1:123456789012:key/logs"
}

run "three_zones_and_one_way_out" {
  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_subnet.public) == 3
    error_message = "A private and a public subnet in each zone."
  }

  assert {
    condition     = length(distinct(concat([for subnet in aws_subnet.private : subnet.cidr_block], [for subnet in aws_subnet.public : subnet.cidr_block]))) == 6
    error_message = "No two subnets have the same addresses."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "All zones leave through one gateway."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch != true])
    error_message = "Nothing gets a public address by being there."
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.functions_outside) == 1
    error_message = "Functions reach AWS through the gateway."
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == var.log_key_arn
    error_message = "All traffic is logged, under a key."
  }
}

run "a_gateway_in_each_zone" {
  variables {
    nat_gateways        = "per_zone"
    interface_endpoints = ["sqs", "events", "monitoring", "sagemaker.api", "ecr.api", "eks"]
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "No zone depends on another's gateway."
  }

  assert {
    condition     = length(aws_vpc_security_group_egress_rule.functions_outside) == 0
    error_message = "Functions with all endpoints have no way out."
  }
}

run "no_way_out_at_all" {
  variables {
    nat_gateways        = "none"
    interface_endpoints = ["sqs", "events", "monitoring", "sagemaker.api", "ecr.api", "ecr.dkr", "eks", "eks-auth", "autoscaling", "ec2", "elasticloadbalancing", "logs", "sts"]
  }

  assert {
    condition     = length(aws_route.nat) == 0 && length(aws_eip.nat) == 0
    error_message = "No gateway, no address."
  }
}

run "no_way_out_and_no_endpoints_is_refused" {
  command = plan

  variables {
    nat_gateways        = "none"
    interface_endpoints = ["sqs"]
  }

  expect_failures = [var.nat_gateways]
}

run "an_endpoint_that_nothing_uses_is_refused" {
  command = plan

  variables {
    interface_endpoints = ["dynamodb"]
  }

  expect_failures = [var.interface_endpoints]
}

run "a_network_too_small_is_refused" {
  command = plan

  variables {
    cidr = "10.0.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "what_is_no_network_is_refused" {
  command = plan

  variables {
    cidr = "ten"
  }

  expect_failures = [var.cidr]
}

run "one_zone_is_refused" {
  command = plan

  variables {
    zone_count = 1
  }

  expect_failures = [var.zone_count]
}

run "a_retention_that_cloudwatch_lacks_is_refused" {
  command = plan

  variables {
    log_retention_days = 100
  }

  expect_failures = [var.log_retention_days]
}

mock_provider "aws" {
  source = "../../mocks"
}

variables {
  policy       = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  vpc_id       = "vpc-1"
  subnet_id    = "subnet-a"
  network_cidr = "10.0.0.0/16"
  disk_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/disks"
}

run "closed" {
  assert {
    condition     = aws_instance.this.instance_type == "t3.medium" && aws_iam_role.this.name == "RetailForecastCICDRole"
    error_message = "The owner's type and role."
  }

  assert {
    condition     = aws_instance.this.metadata_options[0].http_tokens == "required" && aws_instance.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Containers can't take the role."
  }

  assert {
    condition     = !aws_instance.this.associate_public_ip_address && aws_instance.this.root_block_device[0].kms_key_id == var.disk_key_arn
    error_message = "No public address, an encrypted disk."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.page) == 0
    error_message = "Nobody is let in who isn't named."
  }

  assert {
    condition = alltrue([
      for program in [
        "docker.io", "openjdk-21", "jenkins", "kubectl", "aws-cli", "buildah", "gcc", "git", "make", "nodejs", "npm",
        "python3-venv", "rustup", "skopeo", "trivy", "swapon",
      ] : strcontains(aws_instance.this.user_data, program)
    ])
    error_message = "What the steps of the Jenkinsfile call is installed."
  }
}

run "the_whole_internet_is_refused" {
  command = plan

  variables {
    allowed_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.allowed_cidrs]
}

run "a_disk_too_small_is_refused" {
  command = plan

  variables {
    disk_gb = 8
  }

  expect_failures = [var.disk_gb]
}

run "a_wildcard_in_an_action_is_refused" {
  command = plan

  variables {
    policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "events:*", Resource = "*" }] })
  }

  expect_failures = [var.policy]
}

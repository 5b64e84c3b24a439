mock_provider "aws" {
  source = "../../mocks"
}

variables {
  environment            = "dev"
  packages               = { bucket = "packages", prefix = "build-1-0a1b2c3/" }
  nat_gateways           = "one"
  interface_endpoints    = []
  node_groups            = { general = {} }
  cluster_admin_arns     = ["arn:aws:iam::123456789012:role/admin"]
  log_retention_days     = 30
  archive_retention_days = 30
  record_retention_days  = { decisions = 180 }
}

run "every_function_is_deployed_with_its_names" {
  assert {
    condition     = join(",", sort(keys(output.function_names))) == join(",", sort([for file in fileset("${path.module}/../../../events/patterns", "*.json") : trimsuffix(file, ".json")]))
    error_message = "Each pattern file has its function."
  }

  assert {
    condition     = module.settings.functions["notify"].environment.ALERTS_TOPIC_ARN == "arn:aws:sns:ap-southeast-1:123456789012:${module.settings.names.alerts_topic}"
    error_message = "People are told on the topic that is made."
  }

  assert {
    condition     = output.service_url == "http://api.retail-forecast-dev.internal" && module.settings.functions["verify-release"].environment.SERVICE_URL == output.service_url
    error_message = "The API is asked where external-dns writes it."
  }

  assert {
    condition     = module.settings.names.data_bucket == "retail-mlops-data-123456789012-ap-southeast-1" && module.settings.names.cluster_name == "retail-mlops-dev"
    error_message = "The owner's names."
  }

  assert {
    condition     = length(module.event_rules.rule_arns) + length(module.schedules.rule_arns) == sum([for function in module.settings.functions : length(function.rules)])
    error_message = "Every rule is made."
  }
}

run "pipelines_only_if_wanted" {
  assert {
    condition     = length(output.pipeline_role_arns) == 0
    error_message = "No role that nobody asked for."
  }
}

run "pipelines" {
  variables {
    github_repository = "example/retail-mlops"
    jenkins           = {}
  }

  assert {
    condition     = join(",", sort(keys(output.pipeline_role_arns))) == "github,jenkins"
    error_message = "GitHub's and Jenkins' roles."
  }

  assert {
    condition     = !can(regex("\"(Action|NotAction)\":(\\[[^]]*)?\"[^\"]*\\*", module.settings.roles.pipeline))
    error_message = "Pipelines have no wildcard in an action."
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(module.settings.roles.pipeline).Statement : contains(["FindPackage", "LogInToRegistry"], statement.Sid) if contains(flatten([statement.Resource]), "*")
    ])
    error_message = "And none for resources but where AWS has no resource."
  }
}

run "pipelines_have_what_their_steps_call" {
  variables {
    github_repository = "example/retail-mlops"
  }

  assert {
    condition = alltrue([
      for sid, resource in {
        KeepScans    = "arn:aws:s3:::${module.settings.names.artifacts_bucket}/scans/*"
        TellPeople   = "arn:aws:sns:ap-southeast-1:123456789012:${module.settings.names.alerts_topic}"
        ReadPackages = "arn:aws:sagemaker:ap-southeast-1:123456789012:model-package/retail-forecast-models/*"
      } : [for statement in jsondecode(module.settings.roles.pipeline).Statement : statement.Resource if statement.Sid == sid] == [resource]
    ])
    error_message = "They keep scans, tell people and read model packages."
  }

  assert {
    condition     = module.github_oidc.max_session_s == 18000
    error_message = "A retraining is followed for five hours."
  }

  assert {
    condition = alltrue([
      for sid, key in { UseDataKey = module.kms.key_arns.s3, UseMessagesKey = module.kms.key_arns.messages } : anytrue([
        for statement in jsondecode(module.settings.roles.pipeline).Statement :
        statement.Resource == key && contains(flatten([statement.Action]), "kms:GenerateDataKey") if statement.Sid == sid
      ])
    ])
    error_message = "Scans and messages are encrypted by the module's keys."
  }

  assert {
    condition     = module.github_oidc.role_arns != {} && !can(regex("InvokeEndpoint|StartImageScan|DescribeImageScanFindings", module.settings.roles.pipeline))
    error_message = "And nothing that no step calls."
  }
}

run "alarms_invoke_the_function_that_rolls_back" {
  assert {
    condition     = join(",", [for name, function in module.functions : name if length(function.alarm_arns) > 0]) == "roll-back" && length(module.functions["roll-back"].alarm_arns) == 2
    error_message = "By two names of alarms, and no other function."
  }
}

run "functions_of_the_network_reach_the_cluster" {
  assert {
    condition     = join(",", keys(local.cluster_groups)) == "deploy-release,judge-canary,roll-back,verify-release"
    error_message = "They are in the network, and the cluster knows their roles."
  }

  assert {
    condition     = join(",", [for function, group in local.cluster_groups : function if group != "retail-forecast-deployers"]) == "judge-canary" && local.cluster_groups["judge-canary"] == "retail-forecast-readers"
    error_message = "Who judges a canary changes nothing in the cluster."
  }

  assert {
    condition = alltrue([
      for function in module.settings.functions : function.limits.vpc == strcontains(function.policy, "eks:DescribeCluster")
    ])
    error_message = "Who may find the cluster is in its network, and nobody else."
  }
}

run "two_environments_in_one_account" {
  variables {
    environment    = "staging"
    shared_account = true
  }

  assert {
    condition     = module.settings.names.artifacts_bucket == "retail-mlops-artifacts-123456789012-ap-southeast-1-staging" && module.settings.names.dashboard == "RetailForecast-CI-CD-Pipeline-staging"
    error_message = "Names carry the environment."
  }
}

run "a_cluster_without_an_administrator_is_refused" {
  command = plan

  variables {
    cluster_admin_arns = []
  }

  expect_failures = [var.cluster_admin_arns]
}

run "packages_in_two_places_are_refused" {
  command = plan

  variables {
    packages = { folder = "target/lambda", bucket = "packages" }
  }

  expect_failures = [var.packages]
}

run "another_environment_is_refused" {
  command = plan

  variables {
    environment = "qa"
  }

  expect_failures = [var.environment]
}

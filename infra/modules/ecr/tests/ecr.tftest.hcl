mock_provider "aws" {
  source = "../../mocks"
}

variables {
  kms_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/ecr"
}

run "scanned_and_immutable_but_for_latest" {
  assert {
    condition     = join(",", sort(keys(aws_ecr_repository.this))) == "retail-forecast-infer,retail-forecast-train"
    error_message = "The owner's two repositories."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_scanning_configuration[0].scan_on_push && repository.encryption_configuration[0].encryption_type == "KMS"])
    error_message = "Scanned on push, encrypted by the key."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE_WITH_EXCLUSION" && [for filter in repository.image_tag_mutability_exclusion_filter : filter.filter] == ["latest-*"]])
    error_message = "Only latest-* moves."
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this["retail-forecast-infer"].policy).rules[0].selection.tagPrefixList == ["latest-"]
    error_message = "What an environment runs is selected first, so no later rule expires it."
  }

  assert {
    condition     = length(aws_ecr_replication_configuration.this) == 0
    error_message = "No copies unless wanted."
  }
}

run "copies" {
  variables {
    replication_regions = ["ap-southeast-2"]
  }

  assert {
    condition     = length(aws_ecr_replication_configuration.this) == 1
    error_message = "Images are copied."
  }
}

run "too_few_builds_are_refused" {
  command = plan

  variables {
    builds_kept = 1
  }

  expect_failures = [var.builds_kept]
}

run "an_impossible_name_is_refused" {
  command = plan

  variables {
    repository_names = ["Retail Forecast"]
  }

  expect_failures = [var.repository_names]
}

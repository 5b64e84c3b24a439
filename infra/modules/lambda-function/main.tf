locals {
  # Room for an alarm's own invocation beside a full queue.
  reserved_concurrency = var.limits.concurrency + min(length(var.alarm_arns), 1)
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn

  tags = var.tags
}

resource "aws_lambda_function" "this" {
  function_name = var.name
  description   = var.description
  role          = aws_iam_role.this.arn
  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.architecture]
  memory_size   = var.limits.memory_mb
  timeout       = var.limits.timeout_s
  kms_key_arn   = var.messages_key_arn

  filename          = var.package.file
  source_code_hash  = var.package.file == null ? null : try(filebase64sha256(var.package.file), null)
  s3_bucket         = var.package.bucket
  s3_key            = var.package.key
  s3_object_version = var.package.version

  # The mapping never has more invocations at once; what is reserved is also a limit for all others.
  reserved_concurrent_executions = var.reserve_concurrency ? local.reserved_concurrency : -1

  ephemeral_storage {
    size = var.limits.ephemeral_storage_mb
  }

  environment {
    variables = var.environment
  }

  # For invocations past the queue: an alarm's direct action, or a person's.
  dead_letter_config {
    target_arn = aws_sqs_queue.dead_letters.arn
  }

  # The function writes JSON lines itself.
  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.this.name
    application_log_level = "INFO"
    system_log_level      = "INFO"
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  tags = var.tags

  lifecycle {
    precondition {
      condition     = var.package.file == null ? true : fileexists(var.package.file)
      error_message = "There is no ${coalesce(var.package.file, "package")}: build the functions first: make -C infra package."
    }
  }

  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy.runtime]
}

resource "aws_lambda_event_source_mapping" "this" {
  function_name                      = aws_lambda_function.this.arn
  event_source_arn                   = aws_sqs_queue.this.arn
  batch_size                         = var.limits.batch_size
  maximum_batching_window_in_seconds = var.limits.batching_window_s
  function_response_types            = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.limits.concurrency
  }

  tags = var.tags
}

# An alarm invokes the function at once, past events and queue: these of this account and no other.
resource "aws_lambda_permission" "alarms" {
  for_each = { for number, arn in var.alarm_arns : "alarms-${number}" => arn }

  statement_id   = each.key
  function_name  = aws_lambda_function.this.function_name
  action         = "lambda:InvokeFunction"
  principal      = "lambda.alarms.cloudwatch.amazonaws.com"
  source_account = data.aws_caller_identity.current.account_id
  source_arn     = each.value
}

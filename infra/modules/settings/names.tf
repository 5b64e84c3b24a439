# What everything is called. The local cloud computes the same names in `local/cloud/src/names.rs`;
# `make infra-check` compares the two.
locals {
  # Names that the product owner gave without an environment need one where environments share an account.
  suffix = var.shared_account ? "-${var.environment}" : ""

  project = "retail-forecast-${var.environment}"
  arn     = { for service in ["cloudwatch", "events", "lambda", "sns", "sqs"] : service => "arn:aws:${service}:${var.region}:${var.account_id}" }

  # What follows from the place alone.
  place_names = {
    environment                  = var.environment
    region                       = var.region
    account                      = var.account_id
    data_bucket                  = "retail-mlops-data-${var.account_id}-${var.region}${local.suffix}"
    artifacts_bucket             = "retail-mlops-artifacts-${var.account_id}-${var.region}${local.suffix}"
    event_bus                    = local.project
    event_bus_arn                = "${local.arn.events}:event-bus/${local.project}"
    alerts_topic_arn             = "${local.arn.sns}:retail-forecast-alerts${local.suffix}"
    rollback_function_arn        = "${local.arn.lambda}:function:${local.project}-roll-back"
    model_package_group          = "retail-forecast-models${local.suffix}"
    train_repository             = "retail-forecast-train"
    infer_repository             = "retail-forecast-infer"
    train_image                  = "${var.account_id}.dkr.ecr.${var.region}.amazonaws.com/retail-forecast-train:latest-${var.environment}"
    sagemaker_execution_role_arn = "arn:aws:iam::${var.account_id}:role/sagemaker-exec-role${local.suffix}"
    cluster_name                 = "retail-mlops-${var.environment}"
    namespace                    = local.project
    endpoint_name                = local.project
    service_url                  = var.service_url
    frozen                       = var.frozen
  }

  # What the functions' own files may use: the closed list. The keys' ARNs are known last.
  shared_names = merge(local.place_names, {
    data_key_arn     = var.data_key_arn
    messages_key_arn = var.messages_key_arn
  })

  # The names that differ from function to function.
  function_names = {
    for function in local.functions : function => merge(local.shared_names, {
      function  = function
      queue_url = "https://sqs.${var.region}.amazonaws.com/${var.account_id}/${local.project}-${function}"
      queue_arn = "${local.arn.sqs}:${local.project}-${function}"
      dlq_url   = "https://sqs.${var.region}.amazonaws.com/${var.account_id}/${local.project}-${function}-dead-letters"
      dlq_arn   = "${local.arn.sqs}:${local.project}-${function}-dead-letters"
    })
  }

  # What only Terraform makes, and the functions don't ask for by name.
  other_names = {
    project             = local.project
    suffix              = local.suffix
    logs_bucket         = "retail-mlops-logs-${var.account_id}-${var.region}${local.suffix}"
    alerts_topic        = "retail-forecast-alerts${local.suffix}"
    sagemaker_role      = "sagemaker-exec-role${local.suffix}"
    api_role            = "${local.project}-api"
    api_service_account = "retail-forecast-api"
    deployment          = "retail-forecast-api"
    deployers_group     = "retail-forecast-deployers"
    readers_group       = "retail-forecast-readers"
    dashboard           = "RetailForecast-CI-CD-Pipeline${local.suffix}"
  }
}

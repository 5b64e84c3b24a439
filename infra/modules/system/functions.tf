module "event_bus" {
  source = "../event-bus"

  name                   = local.names.event_bus
  archive_retention_days = var.archive_retention_days
  kms_key_arn            = module.kms.key_arns.messages
  tags                   = local.tags
}

module "functions" {
  source   = "../lambda-function"
  for_each = local.functions

  name = each.value.name
  # What wakes it, as far as Lambda takes it; each rule has its own in full.
  description          = substr(join("; ", [for rule in values(each.value.rules) : rule.description]), 0, 256)
  limits               = each.value.limits
  visibility_timeout_s = each.value.queue.visibility_timeout_s
  environment          = each.value.environment
  policy               = each.value.policy
  rule_arns            = [for rule in values(each.value.rules) : rule.arn]
  alarm_arns           = each.value.alarms
  architecture         = var.architecture
  reserve_concurrency  = var.reserve_concurrency
  messages_key_arn     = module.kms.key_arns.messages
  log_key_arn          = module.kms.key_arns.logs
  log_retention_days   = var.log_retention_days
  alarm_topic_arn      = module.alerts.topic_arn
  tags                 = merge(local.tags, { Function = each.key })

  package = var.packages.folder == null ? {
    bucket = var.packages.bucket
    key    = "${var.packages.prefix}${each.key}/bootstrap.zip"
    } : {
    file = "${var.packages.folder}/${each.key}/bootstrap.zip"
  }

  vpc = each.value.limits.vpc ? {
    subnet_ids         = module.vpc.private_subnet_ids
    security_group_ids = [module.vpc.functions_security_group_id]
  } : null
}

locals {
  rules = merge([
    for function, settings in local.functions : {
      for rule in values(settings.rules) : rule.name => merge(rule, {
        queue_arn       = module.functions[function].queue_arn
        dead_letter_arn = module.functions[function].dead_letter_queue_arn
      })
    }
  ]...)
}

module "event_rules" {
  source = "../event-rules"

  rules = { for name, rule in local.rules : name => rule if rule.pattern != null }
  tags  = local.tags

  # Rules of our bus name it; it has to be there first.
  depends_on = [module.event_bus]
}

module "schedules" {
  source = "../schedules"

  schedules = { for name, rule in local.rules : name => rule if rule.schedule != null }
  enabled   = var.schedules_enabled
  tags      = local.tags
}

# A function that is new to the bus's dead letters, or a key that was taken away, shows here.
resource "aws_cloudwatch_metric_alarm" "bus_dead_letters" {
  alarm_name          = "${local.names.project}-bus-dead-letters"
  alarm_description   = "The bus couldn't encrypt or decrypt events"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = module.event_bus.dead_letter_queue_name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [module.alerts.topic_arn]

  tags = local.tags
}

output "names" {
  description = "What everything is called, but for the keys."
  value       = merge(local.place_names, local.other_names)
}

output "functions" {
  description = "The functions by name: `name` once deployed, `role_arn`, settings with every name filled, `policy` (JSON), `queue`, `dead_letters`, `rules` (with `arn`, and `pattern` as JSON or `schedule`) and `alarms` (ARNs, with `*`, of the alarms that may invoke it past its queue)."
  value = {
    for function in local.functions : function => {
      name        = "${local.project}-${function}"
      role_arn    = "arn:aws:iam::${var.account_id}:role/${local.project}-${function}"
      limits      = { for name in local.limit_names : name => local.settings[function][name] if name != "environment" }
      environment = { for name, value in local.settings[function].environment : name => value }
      policy      = jsonencode(jsondecode(local.filled[function].policy))
      queue = {
        name                 = "${local.project}-${function}"
        arn                  = local.function_names[function].queue_arn
        visibility_timeout_s = local.visibility_timeouts * local.settings[function].timeout_s + local.settings[function].batching_window_s
      }
      dead_letters = {
        name = "${local.project}-${function}-dead-letters"
        arn  = local.function_names[function].dlq_arn
      }
      alarms = [for name in try(local.settings[function].invoked_by_alarms, []) : "${local.arn.cloudwatch}:alarm:${name}"]
      rules = {
        for rule, fields in local.rules[function] : rule => {
          name        = "${local.project}-${function}-${rule}"
          arn         = "${local.arn.events}:rule/${contains(["default"], try(fields.bus, "default")) ? "" : "${try(fields.bus, "")}/"}${local.project}-${function}-${rule}"
          description = fields.description
          bus         = try(fields.bus, "default")
          pattern     = try(jsonencode(fields.pattern), null)
          schedule    = try(fields.schedule, null)
        }
      }
    }
  }

  precondition {
    condition     = length(local.unknown_fields) == 0
    error_message = "Unknown fields: ${join(", ", local.unknown_fields)}."
  }

  precondition {
    condition     = length(local.missing_fields) == 0
    error_message = "functions.json: the defaults lack ${join(", ", local.missing_fields)}."
  }

  precondition {
    condition     = length(local.set_nowhere) == 0
    error_message = "Variables that no function has, as functions.json names functions and variables: ${join(", ", local.set_nowhere)}."
  }

  precondition {
    condition     = length(flatten(values(local.not_names))) == 0
    error_message = "Unknown names: ${join(", ", flatten(values(local.not_names)))}."
  }

  precondition {
    condition     = length(local.bad_rules) == 0
    error_message = "A rule has a description, and either bus and pattern or a schedule: ${join(", ", local.bad_rules)}."
  }

  precondition {
    condition     = length(local.strangers) == 0
    error_message = "Files of functions that functions.json doesn't have: ${join(", ", local.strangers)}."
  }

  precondition {
    condition     = length(local.long_names) == 0
    error_message = "Names of more than 64 characters: ${join(", ", local.long_names)}."
  }
}

output "roles" {
  description = "What others than the functions may do, by role (JSON): SageMaker's jobs and endpoints (`sagemaker`), the API's pods (`api`), pipelines (`pipeline`)."
  value       = { for role, policy in local.roles : role => jsonencode(jsondecode(policy)) }

  precondition {
    condition     = length(flatten(values(local.role_not_names))) == 0
    error_message = "Unknown names: ${join(", ", flatten(values(local.role_not_names)))}."
  }
}

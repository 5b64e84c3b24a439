# A slip of the pen is an error, never a default: the local cloud refuses the same.
locals {
  limit_names = [
    "memory_mb", "timeout_s", "batch_size", "batching_window_s", "max_receive_count", "concurrency",
    "vpc", "ephemeral_storage_mb", "oldest_message_s", "environment",
  ]
  # What is a function's own, and no default.
  own_names  = ["invoked_by_alarms"]
  rule_names = ["description", "bus", "pattern", "schedule"]

  unknown_fields = concat(
    [for field in keys(local.written) : "functions.json: ${field}" if !contains(["defaults", "functions", "environments"], field)],
    [for field in keys(local.written.defaults) : "functions.json: defaults: ${field}" if !contains(local.limit_names, field)],
    flatten([
      for function, limits in local.written.functions :
      [for field in keys(limits) : "functions.json: ${function}: ${field}" if !contains(concat(local.limit_names, local.own_names), field)]
    ]),
    flatten([
      for function, rules in local.rules : [
        for rule, fields in rules :
        [for field in keys(fields) : "patterns/${function}.json: ${rule}: ${field}" if !contains(local.rule_names, field)]
      ]
    ]),
  )

  missing_fields = [for field in local.limit_names : field if !contains(keys(local.written.defaults), field)]

  # What is set otherwise has to be there: it would change nothing, or a name that nobody reads.
  set_otherwise = merge(
    { for function, variables in local.environment_file : "functions.json: environments: ${var.environment}: ${function}" => { function = function, variables = keys(variables) } },
    { for function, variables in var.overrides : "function_variables: ${function}" => { function = function, variables = keys(variables) } },
  )
  set_nowhere = flatten([
    for place, set in local.set_otherwise :
    [for name in set.variables : "${place}: ${name}" if !contains(keys(try(local.written.functions[set.function].environment, {})), name)]
  ])

  # What stands in braces and isn't on the list: the local cloud knows names only, no expressions.
  known_names = concat(keys(local.shared_names), ["function", "queue_url", "queue_arn", "dlq_url", "dlq_arn"])
  not_names = {
    for file in local.files : file => concat(
      [for name in local.used[file] : "${basename(dirname(file))}/${basename(file)}: $${${name}}" if !contains(local.known_names, name)],
      [for text in regexall("%\\{[^}]*\\}?", file(file)) : "${basename(dirname(file))}/${basename(file)}: ${text}"],
    )
  }

  # A role has no queue: it may use the names that all share.
  role_not_names = {
    for role, file in local.role_files : role => concat(
      [for name in local.role_used[role] : "roles/${role}.json: $${${name}}" if !contains(keys(local.shared_names), name)],
      [for text in regexall("%\\{[^}]*\\}?", file(file)) : "roles/${role}.json: ${text}"],
    )
  }

  bad_rules = flatten([
    for function, rules in local.rules : [
      for rule, fields in rules : "${function}: ${rule}"
      if !contains(["bus,description,pattern", "description,schedule"], join(",", sort(keys(fields))))
    ]
  ])

  strangers = concat(
    [for file in fileset(local.policies_dir, "*.json") : "policies/${file}" if !contains(local.functions, trimsuffix(file, ".json"))],
    [for file in fileset(local.patterns_dir, "*.json") : "patterns/${file}" if !contains(local.functions, trimsuffix(file, ".json"))],
  )

  long_names = flatten([
    for function in local.functions : concat(
      length("${local.project}-${function}") > 64 ? ["${local.project}-${function}"] : [],
      [for rule in keys(local.rules[function]) : "${local.project}-${function}-${rule}" if length("${local.project}-${function}-${rule}") > 64],
    )
  ])
}

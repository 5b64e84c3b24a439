# Reads what the local cloud reads, as it reads it (`local/cloud/src/settings.rs`): the functions' settings,
# policies and patterns have one source.
locals {
  infra_dir    = coalesce(var.infra_dir, "${path.module}/../..")
  policies_dir = "${local.infra_dir}/policies"
  patterns_dir = coalesce(var.patterns_dir, "${path.module}/../../../events/patterns")
  file         = "${local.infra_dir}/functions.json"

  # As it is written, `${name}`s and all: what has to be known before any value is.
  written   = jsondecode(file(local.file))
  functions = keys(local.written.functions)

  policies = { for function in local.functions : function => "${local.policies_dir}/${function}.json" }
  patterns = { for function in local.functions : function => "${local.patterns_dir}/${function}.json" }

  # Each file gets the names that it uses, so that one which is unknown before apply (a key's ARN) leaves the
  # other files known. A file with anything else in braces stays as it is, and `checks.tf` tells.
  files = toset(concat([local.file], values(local.policies), values(local.patterns)))
  used  = { for file in local.files : file => distinct(flatten(regexall("\\$\\{([^}]*)\\}", file(file)))) }
  # Settings are one file: a key's name stays in it, and is filled in the variables that have it.
  late_names = ["data_key_arn", "messages_key_arn"]
  filled = {
    for function in local.functions : function => {
      for kind, file in {
        settings = local.file
        policy   = local.policies[function]
        rules    = local.patterns[function]
        } : kind => length(local.not_names[file]) > 0 ? file(file) : templatefile(file, {
          for name in local.used[file] : name => kind == "settings" && contains(local.late_names, name) ? "$${${name}}" : local.function_names[function][name]
      })
    }
  }

  # What others than the functions may do: by the name of their role's file.
  role_files = { for file in fileset("${local.policies_dir}/roles", "*.json") : trimsuffix(file, ".json") => "${local.policies_dir}/roles/${file}" }
  role_used  = { for role, file in local.role_files : role => distinct(flatten(regexall("\\$\\{([^}]*)\\}", file(file)))) }
  roles = {
    for role, file in local.role_files : role => length(local.role_not_names[role]) > 0 ? file(file) : templatefile(file, {
      for name in local.role_used[role] : name => local.shared_names[name]
    })
  }

  # A function's own settings win over the defaults, what the file says of the environment over both.
  environment_file = try(local.written.environments[var.environment], {})
  settings = {
    for function in local.functions : function => merge(
      jsondecode(local.filled[function].settings).defaults,
      jsondecode(local.filled[function].settings).functions[function],
      {
        environment = {
          for name, value in merge(
            jsondecode(local.filled[function].settings).defaults.environment,
            try(jsondecode(local.filled[function].settings).functions[function].environment, {}),
            try(jsondecode(local.filled[function].settings).environments[var.environment][function], {}),
            lookup(var.overrides, function, {}),
            ) : name => strcontains(value, "_key_arn}") ? (
            replace(replace(value, "$${data_key_arn}", var.data_key_arn), "$${messages_key_arn}", var.messages_key_arn)
          ) : value
        }
      },
    )
  }

  rules = { for function in local.functions : function => jsondecode(local.filled[function].rules).rules }

  # AWS's advice: messages stay invisible for six times the function's timeout, plus the batching window.
  visibility_timeouts = 6
}

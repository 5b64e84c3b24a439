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
  filled = {
    for function in local.functions : function => {
      for kind, file in {
        settings = local.file
        policy   = local.policies[function]
        rules    = local.patterns[function]
        } : kind => length(local.not_names[file]) > 0 ? file(file) : templatefile(file, {
          for name in local.used[file] : name => local.function_names[function][name]
      })
    }
  }

  # A function's own settings win over the defaults, what the file says of the environment over both.
  environment_file = try(local.written.environments[var.environment], {})
  settings = {
    for function in local.functions : function => merge(
      jsondecode(local.filled[function].settings).defaults,
      jsondecode(local.filled[function].settings).functions[function],
      {
        environment = merge(
          jsondecode(local.filled[function].settings).defaults.environment,
          try(jsondecode(local.filled[function].settings).functions[function].environment, {}),
          try(jsondecode(local.filled[function].settings).environments[var.environment][function], {}),
          lookup(var.overrides, function, {}),
        )
      },
    )
  }

  rules = { for function in local.functions : function => jsondecode(local.filled[function].rules).rules }

  # AWS's advice: messages stay invisible for six times the function's timeout, plus the batching window.
  visibility_timeouts = 6
}

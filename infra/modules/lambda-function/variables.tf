variable "name" {
  description = "Name of the function, its role and its queue; the dead-letter queue's is `<name>-dead-letters`."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9-_]{1,64}$", var.name))
    error_message = "A function's name has up to 64 letters, digits, - and _."
  }
}

variable "description" {
  description = "What the function is for."
  type        = string
  default     = ""

  validation {
    condition     = length(var.description) <= 256
    error_message = "Lambda takes descriptions of up to 256 characters; this one has ${length(var.description)}."
  }
}

variable "package" {
  description = "The deployment package: a zip of this machine (`file`), or one in S3 (`bucket`, `key`, and `version` where the bucket has versions)."
  type = object({
    file    = optional(string)
    bucket  = optional(string)
    key     = optional(string)
    version = optional(string)
  })

  validation {
    condition     = (var.package.file != null) != (var.package.bucket != null && var.package.key != null)
    error_message = "A package is either a file, or bucket and key."
  }
}

variable "architecture" {
  description = "What the package was built for: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture is arm64 or x86_64."
  }
}

variable "limits" {
  description = "How the function runs and how its queue feeds it, as `functions.json` has it."
  type = object({
    memory_mb            = number
    timeout_s            = number
    batch_size           = number
    batching_window_s    = number
    max_receive_count    = number
    concurrency          = number
    ephemeral_storage_mb = number
    oldest_message_s     = number
  })

  validation {
    condition     = var.limits.memory_mb >= 128 && var.limits.memory_mb <= 10240
    error_message = "memory_mb is 128 to 10240."
  }

  validation {
    condition     = var.limits.timeout_s >= 1 && var.limits.timeout_s <= 900
    error_message = "timeout_s is 1 to 900."
  }

  validation {
    condition     = var.limits.batch_size >= 1 && var.limits.batch_size <= 10000 && (var.limits.batch_size <= 10 || var.limits.batching_window_s > 0)
    error_message = "batch_size is 1 to 10000; more than 10 need a batching window of at least 1 s."
  }

  validation {
    condition     = var.limits.batching_window_s >= 0 && var.limits.batching_window_s <= 300
    error_message = "batching_window_s is 0 to 300."
  }

  validation {
    condition     = var.limits.max_receive_count >= 1 && var.limits.max_receive_count <= 1000
    error_message = "max_receive_count is 1 to 1000."
  }

  validation {
    condition     = var.limits.concurrency >= 2 && var.limits.concurrency <= 1000
    error_message = "concurrency is 2 to 1000."
  }

  validation {
    condition     = var.limits.ephemeral_storage_mb >= 512 && var.limits.ephemeral_storage_mb <= 10240
    error_message = "ephemeral_storage_mb is 512 to 10240."
  }

  validation {
    condition     = var.limits.oldest_message_s > var.limits.timeout_s
    error_message = "oldest_message_s lies above the timeout: a message in work is not an old one."
  }
}

variable "visibility_timeout_s" {
  description = "How long a received message is hidden from others; six timeouts and the batching window when null."
  type        = number
  default     = null

  validation {
    condition     = var.visibility_timeout_s == null || try(var.visibility_timeout_s >= var.limits.timeout_s && var.visibility_timeout_s <= 43200, false)
    error_message = "The visibility timeout is no shorter than the function's timeout, and 12 hours at most."
  }
}

variable "environment" {
  description = "The function's variables."
  type        = map(string)
  default     = {}
}

variable "policy" {
  description = "The role's policy: exactly the calls that the function makes (JSON)."
  type        = string

  validation {
    condition     = alltrue(flatten([for statement in flatten([jsondecode(var.policy).Statement]) : [for action in flatten([try(statement.Action, "*")]) : !can(regex("[*?]", action))]]))
    error_message = "No action is a wildcard, and each statement has actions."
  }
}

variable "rule_arns" {
  description = "Rules that may fill the queue, and bury in the dead-letter queue what they can't deliver."
  type        = list(string)

  validation {
    condition     = length(var.rule_arns) > 0
    error_message = "Nothing would wake the function: it needs a rule at least."
  }
}

variable "alarm_arns" {
  description = "CloudWatch alarms of this account, by ARN with `*`, whose action may invoke the function past its queue."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.alarm_arns : can(regex("^arn:aws:cloudwatch:[a-z0-9-]+:[0-9]{12}:alarm:[^*?]", arn))])
    error_message = "An alarm's ARN names region and account, and the beginning of the alarm's name."
  }
}

variable "vpc" {
  description = "Subnets and security groups of a function that runs in a network; outside of any when null."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
}

variable "reserve_concurrency" {
  description = "Whether the account's concurrency is reserved for the function. AWS leaves 100 unreserved: an account whose quota is still 10 can't reserve any."
  type        = bool
  default     = true
}

variable "messages_key_arn" {
  description = "Key of queues and variables."
  type        = string
}

variable "log_key_arn" {
  description = "Key of the log group."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "alarm_topic_arn" {
  description = "Topic that the function's alarms tell."
  type        = string
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

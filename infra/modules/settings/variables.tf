variable "environment" {
  description = "`dev`, `staging` or `prod`."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "region" {
  description = "AWS region (`ap-southeast-1`)."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region looks like ap-southeast-1."
  }
}

variable "account_id" {
  description = "AWS account, 12 digits."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id has 12 digits."
  }
}

variable "shared_account" {
  description = "Whether environments share this account: the names that the owner gave without an environment get one appended."
  type        = bool
  default     = false
}

variable "service_url" {
  description = "Where the forecasting API answers inside the VPC, as `verify-release` asks it."
  type        = string

  validation {
    condition     = can(regex("^https?://[^/ ]+", var.service_url))
    error_message = "The service's address is http(s)://host[:port][/path]."
  }
}

variable "data_key_arn" {
  description = "ARN of the key that encrypts the buckets."
  type        = string
}

variable "messages_key_arn" {
  description = "ARN of the key that encrypts queues, topic and bus."
  type        = string
}

variable "frozen" {
  description = "Why nothing may be deployed now; empty when deployments are allowed."
  type        = string
  default     = ""

  validation {
    condition     = !can(regex("[\"\\\\\n]", var.frozen))
    error_message = "The reason is one line without quotes and backslashes: it is put into JSON."
  }
}

variable "overrides" {
  description = "Variables of functions set otherwise than `functions.json` says: function, variable, value."
  type        = map(map(string))
  default     = {}
}

variable "infra_dir" {
  description = "Folder of `functions.json` and `policies/`; this repository's own when null."
  type        = string
  default     = null
}

variable "patterns_dir" {
  description = "Folder of `<function>.json`, what wakes each function; this repository's own when null."
  type        = string
  default     = null
}

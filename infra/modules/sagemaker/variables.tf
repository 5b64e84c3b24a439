variable "role_name" {
  description = "Role that training jobs, transform jobs and endpoints run with."
  type        = string
  default     = "sagemaker-exec-role"

  validation {
    condition     = can(regex("^[a-zA-Z0-9+=,.@_-]{1,64}$", var.role_name))
    error_message = "A role's name has up to 64 letters, digits and +=,.@_-."
  }
}

variable "policy" {
  description = "What jobs and endpoints may do (JSON): `infra/policies/roles/sagemaker.json` with every name filled."
  type        = string

  validation {
    condition     = alltrue(flatten([for statement in flatten([jsondecode(var.policy).Statement]) : [for action in flatten([try(statement.Action, "*")]) : !can(regex("[*?]", action))]]))
    error_message = "No action is a wildcard, and each statement has actions."
  }
}

variable "endpoint_name" {
  description = "Endpoint whose log group is made."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", var.endpoint_name))
    error_message = "An endpoint's name has up to 63 letters, digits and inner hyphens."
  }
}

variable "log_retention_days" {
  description = "How long the endpoint's logs are kept."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "log_key_arn" {
  description = "Key of the endpoint's logs."
  type        = string
}

variable "tags" {
  description = "Tags of role and log group."
  type        = map(string)
  default     = {}
}

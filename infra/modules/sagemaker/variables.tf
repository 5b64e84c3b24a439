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
    condition     = !can(regex("\"(Action|NotAction)\":(\\[[^]]*)?\"[^\"]*\\*", var.policy))
    error_message = "No action is a wildcard."
  }
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}

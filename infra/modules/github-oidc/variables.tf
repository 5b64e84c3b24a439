variable "create_provider" {
  description = "Whether to make the account's identity provider for GitHub; an account has one at most."
  type        = bool
  default     = true
}

variable "repository" {
  description = "Repository whose workflows take the roles, as GitHub's subject names it: `owner/name`, or `owner@id/name@id` where subjects are immutable."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+(@[0-9]+)?/[A-Za-z0-9_.-]+(@[0-9]+)?$", var.repository))
    error_message = "A repository is owner/name; a wildcard would let others in."
  }
}

variable "roles" {
  description = "Roles by name: which workflows take them (the end of GitHub's subject: `environment:prod`, `ref:refs/heads/main`, `pull_request`), and what they may do (JSON)."
  type = map(object({
    subjects = list(string)
    policy   = string
  }))
  default = {}

  validation {
    condition     = alltrue([for role in values(var.roles) : length(role.subjects) > 0 && alltrue([for subject in role.subjects : can(regex("^(environment:[A-Za-z0-9_-]+|ref:refs/(heads|tags)/[A-Za-z0-9_./-]+|pull_request)$", subject))])])
    error_message = "A subject is environment:NAME, ref:refs/heads/BRANCH, ref:refs/tags/TAG or pull_request, without wildcards."
  }

  validation {
    condition     = alltrue(flatten([for statement in flatten([[for role in values(var.roles) : jsondecode(role.policy).Statement]]) : [for action in flatten([try(statement.Action, "*")]) : !can(regex("[*?]", action))]]))
    error_message = "No action is a wildcard, and each statement has actions."
  }
}

variable "max_session_s" {
  description = "How long credentials are good for."
  type        = number
  default     = 3600

  validation {
    condition     = var.max_session_s >= 3600 && var.max_session_s <= 43200
    error_message = "A session lasts 3600 to 43200 seconds."
  }
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

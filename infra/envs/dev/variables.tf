variable "account_id" {
  description = "The account to deploy to; another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id has 12 digits."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "ap-southeast-1"
}

variable "shared_account" {
  description = "Whether environments share the account."
  type        = bool
  default     = false
}

variable "cluster_admin_arns" {
  description = "Roles and users that administer the cluster."
  type        = set(string)
}

variable "cluster_access_cidrs" {
  description = "Addresses that may reach the cluster's endpoint from outside the network; nobody when empty."
  type        = set(string)
  default     = []
}

variable "alert_email_addresses" {
  description = "Who gets mail."
  type        = set(string)
  default     = []
}

variable "alert_slack" {
  description = "Slack channel that gets the messages."
  type        = object({ team_id = string, channel_id = string })
  default     = null
}

variable "github_repository" {
  description = "Repository whose workflows deploy: `owner/name`. No role for GitHub when null."
  type        = string
  default     = null
}

variable "jenkins" {
  description = "Settings of a Jenkins server; none when null."
  type = object({
    instance_type = optional(string)
    allowed_cidrs = optional(set(string))
    disk_gb       = optional(number)
  })
  default = null
}

variable "packages" {
  description = "Where the functions' packages are; what `make -C infra package` built when null."
  type        = object({ folder = optional(string), bucket = optional(string), prefix = optional(string) })
  default     = null
}

variable "architecture" {
  description = "What the packages were built for: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"
}

variable "service_url" {
  description = "Where the API answers inside the network, if not where external-dns writes it."
  type        = string
  default     = null
}

variable "frozen" {
  description = "Why nothing may be deployed now; empty when deployments are allowed."
  type        = string
  default     = ""
}

variable "function_variables" {
  description = "Variables of functions set otherwise than `functions.json` says."
  type        = map(map(string))
  default     = {}
}

variable "reserve_concurrency" {
  description = "Whether the account's concurrency is reserved for the functions; needs a quota of 100 and theirs."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags besides the project's own."
  type        = map(string)
  default     = {}
}

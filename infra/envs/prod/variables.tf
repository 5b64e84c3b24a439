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

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region looks like ap-southeast-1."
  }
}

variable "shared_account" {
  description = "Whether environments share the account."
  type        = bool
  default     = false
}

variable "cluster_admin_arns" {
  description = "Roles and users that administer the cluster."
  type        = set(string)

  validation {
    condition     = length(var.cluster_admin_arns) > 0 && alltrue([for arn in var.cluster_admin_arns : can(regex("^arn:aws:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "The cluster needs an administrator: ARNs of IAM roles or users (arn:aws:iam::…:role/…), not of a role's sessions. Given: ${join(", ", var.cluster_admin_arns)}."
  }
}

variable "cluster_access_cidrs" {
  description = "Addresses that may reach the cluster's endpoint from outside the network; nobody when empty."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.cluster_access_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "Each is an IPv4 range like 203.0.113.0/24, and not the whole Internet. Given: ${join(", ", var.cluster_access_cidrs)}."
  }
}

variable "alert_email_addresses" {
  description = "Who gets mail."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_email_addresses : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "Each is an address like somebody@example.com. Given: ${join(", ", var.alert_email_addresses)}."
  }
}

variable "alert_slack" {
  description = "Slack channel that gets the messages."
  type        = object({ team_id = string, channel_id = string })
  default     = null

  validation {
    condition     = var.alert_slack == null || try(can(regex("^[0-9A-Z]{1,255}$", var.alert_slack.team_id)) && can(regex("^[A-Za-z0-9]{1,256}$", var.alert_slack.channel_id)), false)
    error_message = "Slack's ids look like T0123456789 and C0123456789."
  }
}

variable "github_repository" {
  description = "Repository whose workflows deploy: `owner/name`, or `owner@id/name@id` where GitHub's subjects are immutable. No role for GitHub when null."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9_.-]+(@[0-9]+)?/[A-Za-z0-9_.-]+(@[0-9]+)?$", var.github_repository))
    error_message = "A repository is owner/name, or owner@id/name@id where GitHub's subjects are immutable: no address, no wildcard."
  }
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

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "The architecture is arm64 or x86_64."
  }
}

variable "service_url" {
  description = "Where the API answers inside the network, if not where external-dns writes it."
  type        = string
  default     = null

  validation {
    condition     = var.service_url == null || can(regex("^https?://[^/ ]+", var.service_url))
    error_message = "The service's address is http(s)://host[:port][/path]."
  }
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

variable "replication" {
  description = "Copies data and artifacts to buckets in another region: their ARNs and their key's. No copies when null."
  type        = object({ data_bucket_arn = string, artifacts_bucket_arn = string, kms_key_arn = string })
  default     = null

  validation {
    condition = var.replication == null || alltrue([
      can(regex("^arn:aws:s3:::", var.replication.data_bucket_arn)),
      can(regex("^arn:aws:s3:::", var.replication.artifacts_bucket_arn)),
      can(regex("^arn:aws:kms:", var.replication.kms_key_arn)),
    ])
    error_message = "Replication takes two bucket ARNs and a key's ARN."
  }
}

variable "tags" {
  description = "Tags besides the project's own."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.tags), ["Project", "Environment", "ManagedBy", "Function"])) == 0 && alltrue([for key in keys(var.tags) : !startswith(key, "aws:")])
    error_message = "Project, Environment, ManagedBy and Function are set here, and AWS keeps aws: for itself: leave out ${join(", ", [for key in keys(var.tags) : key if contains(["Project", "Environment", "ManagedBy", "Function"], key) || startswith(key, "aws:")])}."
  }
}

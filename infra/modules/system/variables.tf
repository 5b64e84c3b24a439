variable "environment" {
  description = "`dev`, `staging` or `prod`."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "shared_account" {
  description = "Whether environments share this account: the names that the owner gave without an environment get one appended."
  type        = bool
  default     = false
}

# Functions

variable "packages" {
  description = "Where the functions' deployment packages are, `<function>/bootstrap.zip` each: a folder of this machine (`cargo lambda build` writes `target/lambda`), or a bucket and the beginning of the keys."
  type = object({
    folder = optional(string)
    bucket = optional(string)
    prefix = optional(string, "")
  })

  validation {
    condition     = (var.packages.folder != null) != (var.packages.bucket != null)
    error_message = "Packages are either in a folder or in a bucket."
  }
}

variable "architecture" {
  description = "What the packages were built for: `arm64` or `x86_64`."
  type        = string
  default     = "arm64"
}

variable "function_variables" {
  description = "Variables of functions set otherwise than `functions.json` says: function, variable, value."
  type        = map(map(string))
  default     = {}
}

variable "reserve_concurrency" {
  description = "Whether the account's concurrency is reserved for the functions; needs a quota of 100 and theirs."
  type        = bool
  default     = true
}

variable "frozen" {
  description = "Why nothing may be deployed now; empty when deployments are allowed."
  type        = string
  default     = ""
}

variable "schedules_enabled" {
  description = "Whether schedules fire: the weekly check."
  type        = bool
  default     = true
}

variable "service_url" {
  description = "Where the API answers inside the network; `http://api.<private zone>` when null, which external-dns writes."
  type        = string
  default     = null
}

# Network and cluster

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.0.0.0/16"
}

variable "nat_gateways" {
  description = "`none`, `one` or `per_zone`."
  type        = string
}

variable "interface_endpoints" {
  description = "AWS services reached inside the network instead of through a NAT gateway."
  type        = set(string)
}

variable "kubernetes_version" {
  description = "Kubernetes version of the cluster."
  type        = string
  default     = "1.35"
}

variable "node_groups" {
  description = "Managed node groups by name; see the module `eks`."
  type = map(object({
    instance_types = optional(list(string), ["t3.medium", "t3.large"])
    capacity_type  = optional(string, "ON_DEMAND")
    min_size       = optional(number, 1)
    max_size       = optional(number, 10)
    desired_size   = optional(number, 2)
    disk_gb        = optional(number, 30)
  }))
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
}

# People and pipelines

variable "alert_email_addresses" {
  description = "Who gets mail."
  type        = set(string)
  default     = []
}

variable "alert_slack" {
  description = "Slack channel that gets the messages."
  type = object({
    team_id    = string
    channel_id = string
  })
  default = null
}

variable "github_repository" {
  description = "Repository whose workflows deploy: `owner/name`. No role for GitHub when null."
  type        = string
  default     = null
}

variable "jenkins" {
  description = "Settings of a Jenkins server; none when null."
  type = object({
    instance_type = optional(string, "t3.medium")
    allowed_cidrs = optional(set(string), [])
    disk_gb       = optional(number, 100)
  })
  default = null
}

# Keeping

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "archive_retention_days" {
  description = "How long events can be replayed."
  type        = number
}

variable "record_retention_days" {
  description = "How long objects of the artifacts bucket are kept, by the first part of their key; see the module `s3`."
  type        = map(number)
}

variable "replication" {
  description = "Copies data and artifacts to buckets in another region; no copies when null."
  type = object({
    data_bucket_arn      = string
    artifacts_bucket_arn = string
    kms_key_arn          = string
  })
  default = null
}

variable "tags" {
  description = "Tags besides `Project`, `Environment` and `ManagedBy`."
  type        = map(string)
  default     = {}
}

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

variable "github_repository" {
  description = "Repository whose workflows deploy: `owner/name`. No identity provider when null, or when the account has one already."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9_.-]+(@[0-9]+)?/[A-Za-z0-9_.-]+(@[0-9]+)?$", var.github_repository))
    error_message = "A repository is owner/name, or owner@id/name@id where GitHub's subjects are immutable: no address, no wildcard."
  }
}

variable "image_replication_regions" {
  description = "Regions that images are copied to."
  type        = set(string)
  default     = []
}

variable "cloudtrail_insights" {
  description = "Whether CloudTrail looks for unusual rates of calls and errors; costs by call."
  type        = bool
  default     = false
}

variable "job_log_retention_days" {
  description = "How long the logs of SageMaker's jobs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.job_log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
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

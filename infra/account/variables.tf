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

variable "github_repository" {
  description = "Repository whose workflows deploy: `owner/name`. No identity provider when null, or when the account has one already."
  type        = string
  default     = null
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
}

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

variable "tags" {
  description = "Tags besides the project's own."
  type        = map(string)
  default     = {}
}

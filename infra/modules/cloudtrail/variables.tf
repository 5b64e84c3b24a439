variable "name" {
  description = "Name of the trail."
  type        = string
  default     = "retail-mlops"

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9._-]{1,126}[a-zA-Z0-9]$", var.name))
    error_message = "A trail's name has 3 to 128 letters, digits, ., - and _."
  }
}

variable "bucket_name" {
  description = "The trail's own bucket."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "kms_key_arn" {
  description = "Key of the trail, its bucket and its log group."
  type        = string
}

variable "data_event_arn_prefixes" {
  description = "Which objects' reads and writes are recorded: how their ARNs begin (`arn:aws:s3:::retail-mlops-data-`)."
  type        = list(string)

  validation {
    condition     = length(var.data_event_arn_prefixes) > 0 && alltrue([for prefix in var.data_event_arn_prefixes : can(regex("^arn:aws:s3:::[a-z0-9]", prefix))])
    error_message = "Each begins with arn:aws:s3::: and a bucket's name: all buckets of an account would cost more than they tell."
  }
}

variable "insights" {
  description = "Whether CloudTrail looks for unusual rates of calls and errors; costs by call."
  type        = bool
  default     = false
}

variable "retention_days" {
  description = "How long the trail's files are kept."
  type        = number
  default     = 400

  validation {
    condition     = var.retention_days >= 90
    error_message = "Keep 90 days at least."
  }
}

variable "log_retention_days" {
  description = "How long events can be searched in CloudWatch."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

variable "data_bucket_name" {
  description = "Bucket of uploaded data sets."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.data_bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "artifacts_bucket_name" {
  description = "Bucket of snapshots, models, reports, records and the pointer."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.artifacts_bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "logs_bucket_name" {
  description = "Bucket that S3 and the load balancer log to."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.logs_bucket_name))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "kms_key_arn" {
  description = "Key of the data and artifacts buckets."
  type        = string
}

variable "upload_retention_days" {
  description = "How long uploads are kept: what was accepted is a snapshot in the artifacts bucket."
  type        = number
  default     = 365

  validation {
    condition     = var.upload_retention_days >= 30
    error_message = "Uploads are kept for 30 days at least: somebody has to be able to look at a rejected one."
  }
}

variable "retention_days" {
  description = "How long objects of the artifacts bucket are kept, by the first part of their key. What a rollback may need (`models`, `evaluations`, `releases`, `environments`, `baselines`) has none."
  type        = map(number)
  default = {
    checks        = 90
    datasets      = 730
    decisions     = 400
    notifications = 90
    predictions   = 30
  }

  validation {
    condition     = alltrue([for prefix in keys(var.retention_days) : contains(["checks", "datasets", "decisions", "notifications", "predictions"], prefix)])
    error_message = "Only checks, datasets, decisions, notifications and predictions may expire: a rollback needs the rest."
  }

  validation {
    # A message lives 14 days in its queue and 14 more as a dead letter.
    condition     = alltrue([for days in values(var.retention_days) : days >= 30])
    error_message = "Nothing may go before 30 days: an event that comes back as late as that still needs it."
  }
}

variable "noncurrent_retention_days" {
  description = "How long replaced and deleted versions are kept."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_retention_days >= 1
    error_message = "At least one day."
  }
}

variable "log_retention_days" {
  description = "How long access logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.log_retention_days >= 1
    error_message = "At least one day."
  }
}

variable "replication" {
  description = "Copies data and artifacts to buckets in another region: their ARNs and their key's. No copies when null."
  type = object({
    data_bucket_arn      = string
    artifacts_bucket_arn = string
    kms_key_arn          = string
  })
  default = null

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
  description = "Tags of all buckets."
  type        = map(string)
  default     = {}
}

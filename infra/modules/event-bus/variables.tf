variable "name" {
  description = "Bus of our own events."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9._-]{1,256}$", var.name)) && var.name != "default"
    error_message = "A bus's name has letters, digits, ., - and _, and isn't `default`: that one is AWS's."
  }
}

variable "archive_retention_days" {
  description = "How long events can be replayed."
  type        = number
  default     = 90

  validation {
    condition     = var.archive_retention_days >= 1
    error_message = "At least one day: 0 would mean for ever."
  }
}

variable "kms_key_arn" {
  description = "Key of the bus, its archive and its dead letters."
  type        = string
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

variable "name" {
  description = "What the aliases begin with: `alias/<name>/<key>`."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,100}$", var.name)) && !startswith(var.name, "aws")
    error_message = "An alias has letters, digits, _ and -, and doesn't begin with aws."
  }
}

variable "keys" {
  description = "Which keys to make: `disks` (disks of nodes and servers), `eks` (the cluster's secrets), `s3` (buckets), `logs` (CloudWatch logs), `messages` (queues, topic, bus, functions' variables), `ecr` (images), `cloudtrail` (the trail)."
  type        = set(string)
  default     = ["disks", "eks", "s3", "logs", "messages"]

  validation {
    condition     = length(setsubtract(var.keys, ["disks", "eks", "s3", "logs", "messages", "ecr", "cloudtrail"])) == 0
    error_message = "Known keys are disks, eks, s3, logs, messages, ecr and cloudtrail."
  }
}

variable "event_bus_arn" {
  description = "Bus whose events the `messages` key encrypts."
  type        = string
  default     = null
}

variable "deletion_window_in_days" {
  description = "How long a key that is to be deleted can still be saved."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_in_days >= 7 && var.deletion_window_in_days <= 30
    error_message = "AWS takes 7 to 30 days."
  }
}

variable "tags" {
  description = "Tags of all keys."
  type        = map(string)
  default     = {}
}

variable "repository_names" {
  description = "Repositories to make."
  type        = set(string)
  default     = ["retail-forecast-train", "retail-forecast-infer"]

  validation {
    condition     = alltrue([for name in var.repository_names : can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", name))])
    error_message = "A repository's name has lower-case letters and digits, separated by one of . _ / -."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string
}

variable "builds_kept" {
  description = "How many images with a build's tag are kept. What an environment was given last (`latest-*`) doesn't count and stays; what a rollback may go back to has a build's tag only, so this is more than the builds between two good releases. A build adds its layer, at most 15 MB."
  type        = number
  default     = 500

  validation {
    condition     = var.builds_kept >= 10
    error_message = "Keep 10 builds at least: a rollback needs the image of the last known-good release."
  }
}

variable "untagged_days" {
  description = "How long an image without a tag is kept."
  type        = number
  default     = 30

  validation {
    condition     = var.untagged_days >= 1
    error_message = "At least one day."
  }
}

variable "replication_regions" {
  description = "Regions that images are copied to."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for region in var.replication_regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "A region looks like ap-southeast-1."
  }
}

variable "tags" {
  description = "Tags of the repositories."
  type        = map(string)
  default     = {}
}

variable "role_name" {
  description = "Role that training jobs, transform jobs and endpoints run with."
  type        = string
  default     = "sagemaker-exec-role"

  validation {
    condition     = can(regex("^[a-zA-Z0-9+=,.@_-]{1,64}$", var.role_name))
    error_message = "A role's name has up to 64 letters, digits and +=,.@_-."
  }
}

variable "artifacts_bucket_name" {
  description = "Bucket of snapshots, models and predictions."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of that bucket."
  type        = string
}

variable "repository_names" {
  description = "ECR repositories whose images jobs and endpoints run."
  type        = set(string)
  default     = ["retail-forecast-train", "retail-forecast-infer"]
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}

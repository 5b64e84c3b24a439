variable "account_id" {
  description = "The account; another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id has 12 digits."
  }
}

variable "region" {
  description = "AWS region of the states."
  type        = string
  default     = "ap-southeast-1"
}

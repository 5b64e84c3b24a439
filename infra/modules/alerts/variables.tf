variable "topic_name" {
  description = "Topic that reaches people."
  type        = string
  default     = "retail-forecast-alerts"

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,256}$", var.topic_name))
    error_message = "A topic's name has letters, digits, - and _."
  }
}

variable "kms_key_arn" {
  description = "Key of the topic."
  type        = string
}

variable "email_addresses" {
  description = "Who gets mail; each address has to confirm once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.email_addresses : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "An address looks like somebody@example.com."
  }
}

variable "slack" {
  description = "Slack channel that gets the messages: workspace and channel id. The workspace has to be authorised once in the console of Amazon Q Developer in chat applications."
  type = object({
    team_id    = string
    channel_id = string
  })
  default = null

  validation {
    condition     = var.slack == null || try(can(regex("^[0-9A-Z]{1,255}$", var.slack.team_id)) && can(regex("^[A-Za-z0-9]{1,256}$", var.slack.channel_id)), false)
    error_message = "Slack's ids look like T0123456789 and C0123456789."
  }
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

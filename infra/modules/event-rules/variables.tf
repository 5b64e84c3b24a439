variable "rules" {
  description = "Rules by name: bus, pattern (JSON), the queue they fill, and where goes what they can't deliver."
  type = map(object({
    description     = string
    bus             = string
    pattern         = string
    queue_arn       = string
    dead_letter_arn = string
  }))

  validation {
    condition     = alltrue([for name in keys(var.rules) : can(regex("^[.a-zA-Z0-9_-]{1,64}$", name))])
    error_message = "A rule's name has up to 64 letters, digits, ., - and _."
  }

  validation {
    condition     = alltrue([for rule in values(var.rules) : can(jsondecode(rule.pattern).source)])
    error_message = "A pattern is JSON and names its source: without one it would match everybody's events."
  }

  validation {
    condition     = alltrue([for rule in values(var.rules) : !can(regex("\\$\\{", rule.pattern))])
    error_message = "A pattern still has a name in braces."
  }
}

variable "tags" {
  description = "Tags of the rules."
  type        = map(string)
  default     = {}
}

variable "schedules" {
  description = "Schedules by name: `cron(…)` or `rate(…)` in UTC, the queue they fill, and where goes what they can't deliver."
  type = map(object({
    description     = string
    schedule        = string
    queue_arn       = string
    dead_letter_arn = string
  }))

  validation {
    condition     = alltrue([for name in keys(var.schedules) : can(regex("^[.a-zA-Z0-9_-]{1,64}$", name))])
    error_message = "A schedule's name has up to 64 letters, digits, ., - and _."
  }

  validation {
    condition     = alltrue([for schedule in values(var.schedules) : can(regex("^(rate\\([1-9][0-9]* (minute|hour|day)s?\\)|cron\\([^ )]+( [^ )]+){5}\\))$", schedule.schedule))])
    error_message = "A schedule is rate(n units), or cron(…) with six fields."
  }
}

variable "enabled" {
  description = "Whether the schedules fire."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of the schedules."
  type        = map(string)
  default     = {}
}

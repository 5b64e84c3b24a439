variable "name" {
  description = "Name of the dashboard."
  type        = string
  default     = "RetailForecast-CI-CD-Pipeline"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,255}$", var.name))
    error_message = "A dashboard's name has letters, digits, - and _."
  }
}

variable "project" {
  description = "What names of the environment begin with (`retail-forecast-dev`)."
  type        = string
}

variable "environment" {
  description = "Environment whose pipeline metrics are shown."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "The environment is dev, staging or prod."
  }
}

variable "endpoint_name" {
  description = "SageMaker endpoint."
  type        = string
}

variable "load_balancer_name" {
  description = "Name of the API's load balancer, which the Ingress gives (`alb.ingress.kubernetes.io/load-balancer-name`)."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9-]{1,32}$", var.load_balancer_name))
    error_message = "A load balancer's name has up to 32 letters, digits and -."
  }
}

variable "log_key_arn" {
  description = "Key of the log of training events."
  type        = string
}

variable "log_retention_days" {
  description = "How long training events are kept."
  type        = number
  default     = 400

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

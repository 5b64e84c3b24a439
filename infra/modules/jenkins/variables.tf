variable "name" {
  description = "What the server is called."
  type        = string
  default     = "retail-forecast-jenkins"
}

variable "role_name" {
  description = "Role of the server."
  type        = string
  default     = "RetailForecastCICDRole"

  validation {
    condition     = can(regex("^[a-zA-Z0-9+=,.@_-]{1,64}$", var.role_name))
    error_message = "A role's name has up to 64 letters, digits and +=,.@_-."
  }
}

variable "policy" {
  description = "What pipelines may do (JSON)."
  type        = string

  validation {
    condition     = alltrue(flatten([for statement in flatten([jsondecode(var.policy).Statement]) : [for action in flatten([try(statement.Action, "*")]) : !can(regex("[*?]", action))]]))
    error_message = "No action is a wildcard, and each statement has actions."
  }
}

variable "instance_type" {
  description = "Type of the server."
  type        = string
  default     = "t3.medium"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", var.instance_type))
    error_message = "An instance type looks like t3.medium."
  }
}

variable "vpc_id" {
  description = "Network of the server."
  type        = string
}

variable "subnet_id" {
  description = "Private subnet of the server."
  type        = string
}

variable "network_cidr" {
  description = "Addresses of the network, where the forecasting API answers."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.network_cidr)) && !endswith(var.network_cidr, "/0")
    error_message = "The network is an IPv4 range, and not the whole Internet."
  }
}

variable "allowed_cidrs" {
  description = "Private addresses that may open Jenkins' page. Empty: only through a session of the Systems Manager."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr)) && can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", cidr))])
    error_message = "Each is an IPv4 range of private addresses, like 10.1.0.0/16. Given: ${join(", ", var.allowed_cidrs)}."
  }
}

variable "disk_gb" {
  description = "Size of the disk: three compilations of the workspace, images, and 8 GB of swap."
  type        = number
  default     = 100

  validation {
    condition     = var.disk_gb >= 50
    error_message = "Compilations, images and swap need 50 GB at least."
  }
}

variable "disk_key_arn" {
  description = "Key of the disk."
  type        = string
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

variable "cluster_name" {
  description = "Cluster whose service accounts take the roles."
  type        = string
}

variable "oidc_provider_arn" {
  description = "The cluster's identity provider."
  type        = string
}

variable "oidc_issuer" {
  description = "The provider's issuer, without `https://`."
  type        = string

  validation {
    condition     = !can(regex("^https?://", var.oidc_issuer))
    error_message = "The issuer stands without https:// in a trust policy."
  }
}

variable "name_suffix" {
  description = "Appended to the owner's role names; needed where environments share an account."
  type        = string
  default     = ""
}

variable "service_accounts" {
  description = "Service account (`namespace/name`) of each cluster add-on that takes a role."
  type        = map(string)
  default = {
    cluster-autoscaler           = "kube-system/cluster-autoscaler"
    aws-load-balancer-controller = "kube-system/aws-load-balancer-controller"
    external-dns                 = "kube-system/external-dns"
    fluent-bit                   = "kube-system/fluent-bit"
  }

  validation {
    condition     = join(",", sort(keys(var.service_accounts))) == "aws-load-balancer-controller,cluster-autoscaler,external-dns,fluent-bit"
    error_message = "Each of cluster-autoscaler, aws-load-balancer-controller, external-dns and fluent-bit has a service account, and nothing else."
  }

  validation {
    condition     = alltrue([for account in values(var.service_accounts) : can(regex("^[a-z0-9-]+/[a-z0-9.-]+$", account))])
    error_message = "A service account is namespace/name; a wildcard would let others in."
  }
}

variable "private_zone_arn" {
  description = "DNS zone that external-dns writes."
  type        = string
}

variable "vpc_id" {
  description = "Network whose load balancers the controller makes."
  type        = string
}

variable "pod_log_retention_days" {
  description = "How long the pods' logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.pod_log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "log_key_arn" {
  description = "Key of the pods' logs."
  type        = string
}

variable "api" {
  description = "The forecasting API: its role's name, its service account, and what it may do (JSON): `infra/policies/roles/api.json` with every name filled."
  type = object({
    role_name       = string
    namespace       = string
    service_account = string
    policy          = string
  })

  validation {
    condition     = alltrue(flatten([for statement in flatten([jsondecode(var.api.policy).Statement]) : [for action in flatten([try(statement.Action, "*")]) : !can(regex("[*?]", action))]]))
    error_message = "No action is a wildcard, and each statement has actions."
  }
}

variable "tags" {
  description = "Tags of all roles."
  type        = map(string)
  default     = {}
}

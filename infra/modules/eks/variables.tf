variable "name" {
  description = "The cluster's name."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$", var.name))
    error_message = "A cluster's name has up to 100 letters, digits, _ and -."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version; in standard support, or AWS charges six times as much for the control plane."
  type        = string
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.(2[89]|[3-9][0-9])$", var.kubernetes_version))
    error_message = "The version is 1.28 or later, like 1.35."
  }
}

variable "subnet_ids" {
  description = "Private subnets of nodes and of the cluster's endpoint."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "EKS needs subnets in two zones at least."
  }
}

variable "public_access_cidrs" {
  description = "Addresses that may reach the cluster's endpoint from outside; nobody when empty."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrnetmask(cidr)) && !endswith(cidr, "/0")])
    error_message = "Each is an IPv4 range like 203.0.113.0/24, and not the whole Internet. Given: ${join(", ", var.public_access_cidrs)}."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may reach the cluster's endpoint from inside the network, by a name of their own."
  type        = map(string)
  default     = {}
}

variable "node_groups" {
  description = "Managed node groups by name."
  type = map(object({
    instance_types = optional(list(string), ["t3.medium", "t3.large"])
    capacity_type  = optional(string, "ON_DEMAND")
    min_size       = optional(number, 1)
    max_size       = optional(number, 10)
    desired_size   = optional(number, 2)
    disk_gb        = optional(number, 30)
  }))
  default = { general = {} }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : contains(["ON_DEMAND", "SPOT"], group.capacity_type)])
    error_message = "The capacity type is ON_DEMAND or SPOT."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : 1 <= group.min_size && group.min_size <= group.desired_size && group.desired_size <= group.max_size && group.max_size <= 10])
    error_message = "Sizes are 1 <= min_size <= desired_size <= max_size <= 10."
  }

  validation {
    condition     = alltrue([for group in values(var.node_groups) : length(group.instance_types) > 0 && alltrue([for type in group.instance_types : can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", type))])])
    error_message = "Instance types look like t3.medium, and each group has one at least."
  }
}

variable "addons" {
  description = "Add-ons besides VPC CNI, kube-proxy, CoreDNS and the Pod Identity agent. The autoscaler of pods needs `metrics-server`."
  type        = set(string)
  default     = ["metrics-server"]
}

variable "access_entries" {
  description = "Who may do what in the cluster, by name: a role's ARN with Kubernetes groups, or with one of EKS's access policies (`AmazonEKSClusterAdminPolicy`, …), in all namespaces or some."
  type = map(object({
    principal_arn = string
    groups        = optional(list(string), [])
    policy        = optional(string)
    namespaces    = optional(list(string), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for entry in values(var.access_entries) : (length(entry.groups) > 0) != (entry.policy != null)])
    error_message = "An entry has either Kubernetes groups or an access policy."
  }

  validation {
    condition     = alltrue(flatten([for entry in values(var.access_entries) : [for group in entry.groups : !can(regex("^(system|eks|aws|amazon|iam):", group))]]))
    error_message = "EKS keeps groups that begin with system:, eks:, aws:, amazon: or iam: for itself; for an administrator use an access policy."
  }
}

variable "secrets_key_arn" {
  description = "Key that encrypts the cluster's secrets."
  type        = string
}

variable "disk_key_arn" {
  description = "Key that encrypts the nodes' disks; the group that scales them has to be allowed to use it."
  type        = string
}

variable "log_key_arn" {
  description = "Key of the control plane's logs."
  type        = string
}

variable "log_retention_days" {
  description = "How long the control plane's logs are kept."
  type        = number
  default     = 365

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

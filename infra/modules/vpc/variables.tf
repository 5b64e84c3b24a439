variable "name" {
  description = "What the network and its parts are called."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,40}$", var.name))
    error_message = "The name has up to 41 lower-case letters, digits and hyphens, and begins with a letter."
  }
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.cidr)[1]), 99) <= 20
    error_message = "The network is an IPv4 range from /16 to /20: subnets are cut from it."
  }
}

variable "zone_count" {
  description = "How many availability zones have subnets."
  type        = number
  default     = 3

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "EKS needs two zones; three are usual."
  }
}

variable "nat_gateways" {
  description = "Ways out of the private subnets: `none`, `one` (cheap; its zone's failure cuts all off) or `per_zone`."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["none", "one", "per_zone"], var.nat_gateways)
    error_message = "NAT gateways are none, one or per_zone."
  }

  validation {
    condition     = var.nat_gateways != "none" || length(setsubtract(local.needed_without_nat, var.interface_endpoints)) == 0
    error_message = "Without a NAT gateway these endpoints are needed, too: ${join(", ", setsubtract(local.needed_without_nat, var.interface_endpoints))}."
  }
}

variable "interface_endpoints" {
  description = "AWS services reached inside the network instead of through a NAT gateway (`sqs`, `ecr.api`, …). Each costs by hour and zone; S3's gateway endpoint is free and always there."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(var.interface_endpoints, local.known_endpoints)) == 0
    error_message = "Endpoints that nothing here uses: ${join(", ", setsubtract(var.interface_endpoints, local.known_endpoints))}."
  }
}

variable "private_zone_name" {
  description = "Private DNS zone of the network, in which external-dns writes where the API answers."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.private_zone_name))
    error_message = "A zone's name looks like retail-forecast-dev.internal."
  }
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "log_key_arn" {
  description = "Key of the flow logs."
  type        = string
}

variable "tags" {
  description = "Tags of all parts."
  type        = map(string)
  default     = {}
}

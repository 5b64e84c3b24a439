output "eks_cluster_id" {
  description = "The cluster's id: its name."
  value       = module.system.eks_cluster_id
}

output "eks_cluster_arn" {
  description = "The cluster's ARN."
  value       = module.system.eks_cluster_arn
}

output "eks_cluster_endpoint" {
  description = "Where the Kubernetes API answers, inside the network."
  value       = module.system.eks_cluster_endpoint
}

output "eks_cluster_security_group_id" {
  description = "Security group of control plane and nodes."
  value       = module.system.eks_cluster_security_group_id
}

output "vpc_id" {
  description = "The network."
  value       = module.system.vpc_id
}

output "private_subnet_ids" {
  description = "Subnets of nodes and functions."
  value       = module.system.private_subnet_ids
}

output "public_subnet_ids" {
  description = "Subnets of load balancers."
  value       = module.system.public_subnet_ids
}

output "sagemaker_exec_role_arn" {
  description = "Role of jobs and endpoints."
  value       = module.system.sagemaker_exec_role_arn
}

output "data_bucket_name" {
  description = "Bucket of uploaded data sets."
  value       = module.system.data_bucket_name
}

output "artifacts_bucket_name" {
  description = "Bucket of snapshots, models, reports, records and the pointer."
  value       = module.system.artifacts_bucket_name
}

output "logs_bucket_name" {
  description = "Bucket of access logs; the Ingress names it."
  value       = module.system.logs_bucket_name
}

output "event_bus_name" {
  description = "Bus of our own events, for asking by hand."
  value       = module.system.event_bus_name
}

output "alerts_topic_arn" {
  description = "Topic that reaches people."
  value       = module.system.alerts_topic_arn
}

output "namespace" {
  description = "Kubernetes namespace of the API."
  value       = module.system.namespace
}

output "service_url" {
  description = "Where the API answers inside the network; the Ingress has to have this host."
  value       = module.system.service_url
}

output "function_names" {
  description = "Deployed functions by the name that the project gives them."
  value       = module.system.function_names
}

output "addon_role_arns" {
  description = "Roles of cluster add-ons, for their service accounts."
  value       = module.system.addon_role_arns
}

output "pod_log_group_name" {
  description = "Where Fluent Bit writes."
  value       = module.system.pod_log_group_name
}

output "pipeline_role_arns" {
  description = "Roles that pipelines take."
  value       = module.system.pipeline_role_arns
}

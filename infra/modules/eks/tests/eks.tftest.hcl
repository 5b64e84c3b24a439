mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name            = "retail-mlops-dev"
  subnet_ids      = ["subnet-a", "subnet-b", "subnet-c"]
  secrets_key_arn = "arn:aws:kms:ap-southeast-1:123456789012:key/eks"
  disk_key_arn    = "arn:aws:kms:ap-southeast-1:123456789012:key/disks"
  log_key_arn     = "arn:aws:kms:ap-southeast-1:123456789012:key/logs"
  access_entries = {
    admin          = { principal_arn = "arn:aws:iam::123456789012:role/admin", policy = "AmazonEKSClusterAdminPolicy" }
    deploy-release = { principal_arn = "arn:aws:iam::123456789012:role/deploy", groups = ["retail-forecast-deployers"] }
    github         = { principal_arn = "arn:aws:iam::123456789012:role/github", policy = "AmazonEKSAdminPolicy", namespaces = ["retail-forecast-dev"] }
  }
}

run "private_encrypted_and_logged" {
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "The endpoint is private."
  }

  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "Rights are access entries."
  }

  assert {
    condition     = length(aws_eks_cluster.this.enabled_cluster_log_types) == 5
    error_message = "All logs of the control plane."
  }

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == var.secrets_key_arn
    error_message = "Secrets are encrypted."
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.block_device_mappings[0].ebs[0].kms_key_id == var.disk_key_arn])
    error_message = "Disks are, by their own key."
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "Pods can't take the node's role."
  }

  assert {
    condition     = aws_eks_node_group.this["general"].scaling_config[0].min_size == 1 && aws_eks_node_group.this["general"].scaling_config[0].max_size == 10 && aws_eks_node_group.this["general"].scaling_config[0].desired_size == 2
    error_message = "One to ten nodes, two at first."
  }

  assert {
    condition     = setunion(keys(aws_eks_addon.before_nodes), keys(aws_eks_addon.after_nodes)) == toset(["coredns", "eks-pod-identity-agent", "kube-proxy", "metrics-server", "vpc-cni"])
    error_message = "Add-ons come through the API."
  }
}

run "who_may_do_what" {
  assert {
    condition     = join(",", sort(keys(aws_eks_access_policy_association.this))) == "admin,github"
    error_message = "Deployers have the group's rights only."
  }

  assert {
    condition     = aws_eks_access_policy_association.this["github"].access_scope[0].type == "namespace"
    error_message = "Pipelines stay in their namespace."
  }
}

run "an_endpoint_for_everybody_is_refused" {
  command = plan

  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.public_access_cidrs]
}

run "an_old_version_is_refused" {
  command = plan

  variables {
    kubernetes_version = "1.27"
  }

  expect_failures = [var.kubernetes_version]
}

run "more_than_ten_nodes_are_refused" {
  command = plan

  variables {
    node_groups = { general = { max_size = 11 } }
  }

  expect_failures = [var.node_groups]
}

run "an_unknown_capacity_is_refused" {
  command = plan

  variables {
    node_groups = { general = { capacity_type = "CHEAP" } }
  }

  expect_failures = [var.node_groups]
}

run "one_subnet_is_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-a"]
  }

  expect_failures = [var.subnet_ids]
}

run "an_entry_with_both_groups_and_policy_is_refused" {
  command = plan

  variables {
    access_entries = { x = { principal_arn = "arn:aws:iam::123456789012:role/x", groups = ["g"], policy = "AmazonEKSViewPolicy" } }
  }

  expect_failures = [var.access_entries]
}

run "a_group_that_eks_keeps_for_itself_is_refused" {
  command = plan

  variables {
    access_entries = { admin = { principal_arn = "arn:aws:iam::123456789012:role/admin", groups = ["system:masters"] } }
  }

  expect_failures = [var.access_entries]
}

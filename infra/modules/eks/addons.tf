locals {
  # Nodes need these to become ready; the others need nodes.
  before_nodes = toset(["eks-pod-identity-agent", "kube-proxy", "vpc-cni"])
  after_nodes  = setunion(["coredns"], var.addons)
}

data "aws_eks_addon_version" "this" {
  for_each = setunion(local.before_nodes, local.after_nodes)

  addon_name         = each.value
  kubernetes_version = aws_eks_cluster.this.version
}

resource "aws_eks_addon" "before_nodes" {
  for_each = local.before_nodes

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.value
  addon_version               = data.aws_eks_addon_version.this[each.value].version
  service_account_role_arn    = each.value == "vpc-cni" ? aws_iam_role.cni.arn : null
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  # The network policies of the manifests are enforced by the CNI, if it is told to.
  configuration_values = each.value == "vpc-cni" ? jsonencode({ enableNetworkPolicy = "true" }) : null

  tags = var.tags
}

resource "aws_eks_addon" "after_nodes" {
  for_each = local.after_nodes

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.value
  addon_version               = data.aws_eks_addon_version.this[each.value].version
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"

  tags = var.tags

  depends_on = [aws_eks_node_group.this]
}

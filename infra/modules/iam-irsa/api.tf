# The forecasting API's pods read models and put metrics. By Pod Identity, since then the manifests name no
# account: an IRSA role's ARN would have to stand in the service account.
resource "aws_iam_role" "api" {
  name = var.api.role_name
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-arn"            = "arn:aws:eks:${local.region}:${local.account}:cluster/${var.cluster_name}"
          "aws:RequestTag/kubernetes-namespace"       = var.api.namespace
          "aws:RequestTag/kubernetes-service-account" = var.api.service_account
        }
      }
    }]
  })

  tags = var.tags
}

# What the pods call: the file that the local cloud holds them to, as well.
resource "aws_iam_role_policy" "api" {
  name   = "api"
  role   = aws_iam_role.api.id
  policy = var.api.policy
}

resource "aws_eks_pod_identity_association" "api" {
  cluster_name    = var.cluster_name
  namespace       = var.api.namespace
  service_account = var.api.service_account
  role_arn        = aws_iam_role.api.arn

  tags = var.tags
}

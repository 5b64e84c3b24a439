# What each add-on calls. `*` stands only with actions that list or describe and have no resource level.
locals {
  cluster_autoscaler = [
    {
      Sid    = "Look"
      Effect = "Allow"
      Action = [
        "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations", "autoscaling:DescribeScalingActivities", "autoscaling:DescribeTags",
        "ec2:DescribeImages", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
      ]
      Resource = "*"
    },
    {
      Sid      = "ReadNodeGroups"
      Effect   = "Allow"
      Action   = "eks:DescribeNodegroup"
      Resource = "arn:aws:eks:${local.region}:${local.account}:nodegroup/${var.cluster_name}/*/*"
    },
    {
      Sid       = "ScaleThisCluster"
      Effect    = "Allow"
      Action    = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
      Resource  = "arn:aws:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/eks-*"
      Condition = { StringEquals = { "aws:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster_name}" = "owned" } }
    },
  ]

  external_dns = [
    {
      Sid      = "WriteTheZone"
      Effect   = "Allow"
      Action   = ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets", "route53:ListTagsForResources"]
      Resource = var.private_zone_arn
    },
    {
      Sid      = "FindTheZone"
      Effect   = "Allow"
      Action   = "route53:ListHostedZones"
      Resource = "*"
    },
  ]

  fluent_bit = [
    {
      Sid      = "WritePodLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
      Resource = "${aws_cloudwatch_log_group.pods.arn}:*"
    },
  ]

  # Everything the controller makes bears its cluster's name, and it may change only what does.
  cluster_tag  = "elbv2.k8s.aws/cluster"
  elb          = "arn:aws:elasticloadbalancing:${local.region}:${local.account}"
  ec2          = "arn:aws:ec2:${local.region}:${local.account}"
  this_cluster = { StringEquals = { "aws:ResourceTag/${local.cluster_tag}" = var.cluster_name } }

  load_balancer_controller = [
    {
      Sid    = "Look"
      Effect = "Allow"
      Action = [
        "acm:ListCertificates",
        "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeAvailabilityZones",
        "ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags",
        "ec2:DescribeVpcs",
        "elasticloadbalancing:DescribeCapacityReservation", "elasticloadbalancing:DescribeListenerAttributes",
        "elasticloadbalancing:DescribeListenerCertificates", "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancerAttributes", "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeSSLPolicies",
        "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroupAttributes",
        "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DescribeTrustStores",
        "shield:GetSubscriptionState",
      ]
      Resource = "*"
    },
    {
      Sid    = "LookMoreClosely"
      Effect = "Allow"
      Action = ["acm:DescribeCertificate", "ec2:GetSecurityGroupsForVpc", "wafv2:GetWebACLForResource"]
      Resource = [
        "arn:aws:acm:${local.region}:${local.account}:certificate/*",
        "${local.ec2}:vpc/${var.vpc_id}",
        "${local.elb}:loadbalancer/app/*",
        "arn:aws:wafv2:${local.region}:${local.account}:regional/webacl/*",
      ]
    },
    {
      Sid       = "FirstLoadBalancerOfTheAccount"
      Effect    = "Allow"
      Action    = "iam:CreateServiceLinkedRole"
      Resource  = "arn:aws:iam::${local.account}:role/aws-service-role/elasticloadbalancing.amazonaws.com/*"
      Condition = { StringEquals = { "iam:AWSServiceName" = "elasticloadbalancing.amazonaws.com" } }
    },
    {
      Sid      = "MakeSecurityGroupsInTheNetwork"
      Effect   = "Allow"
      Action   = "ec2:CreateSecurityGroup"
      Resource = "${local.ec2}:vpc/${var.vpc_id}"
    },
    {
      Sid       = "MakeSecurityGroups"
      Effect    = "Allow"
      Action    = "ec2:CreateSecurityGroup"
      Resource  = "${local.ec2}:security-group/*"
      Condition = { StringEquals = { "aws:RequestTag/${local.cluster_tag}" = var.cluster_name } }
    },
    {
      Sid      = "TagNewSecurityGroups"
      Effect   = "Allow"
      Action   = "ec2:CreateTags"
      Resource = "${local.ec2}:security-group/*"
      Condition = {
        StringEquals = {
          "ec2:CreateAction"                    = "CreateSecurityGroup"
          "aws:RequestTag/${local.cluster_tag}" = var.cluster_name
        }
      }
    },
    {
      Sid       = "ChangeOwnSecurityGroups"
      Effect    = "Allow"
      Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:DeleteSecurityGroup", "ec2:CreateTags", "ec2:DeleteTags"]
      Resource  = "${local.ec2}:security-group/*"
      Condition = local.this_cluster
    },
    {
      # Lets the load balancer in to the nodes: the cluster's group is EKS's, and bears EKS's tag.
      Sid       = "OpenTheClustersSecurityGroup"
      Effect    = "Allow"
      Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
      Resource  = "${local.ec2}:security-group/*"
      Condition = { StringEquals = { "aws:ResourceTag/aws:eks:cluster-name" = var.cluster_name } }
    },
    {
      Sid       = "MakeLoadBalancers"
      Effect    = "Allow"
      Action    = ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"]
      Resource  = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]
      Condition = { StringEquals = { "aws:RequestTag/${local.cluster_tag}" = var.cluster_name } }
    },
    {
      Sid      = "TagNewLoadBalancers"
      Effect   = "Allow"
      Action   = "elasticloadbalancing:AddTags"
      Resource = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]
      Condition = {
        StringEquals = {
          "elasticloadbalancing:CreateAction"   = ["CreateLoadBalancer", "CreateTargetGroup"]
          "aws:RequestTag/${local.cluster_tag}" = var.cluster_name
        }
      }
    },
    {
      Sid    = "ChangeOwnLoadBalancers"
      Effect = "Allow"
      Action = [
        "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags",
        "elasticloadbalancing:CreateListener", "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:ModifyCapacityReservation",
        "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:ModifyTargetGroup",
        "elasticloadbalancing:ModifyTargetGroupAttributes", "elasticloadbalancing:SetIpAddressType",
        "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
        "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets",
      ]
      Resource  = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]
      Condition = local.this_cluster
    },
    {
      Sid    = "ChangeOwnListeners"
      Effect = "Allow"
      Action = [
        "elasticloadbalancing:AddListenerCertificates", "elasticloadbalancing:RemoveListenerCertificates",
        "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags",
        "elasticloadbalancing:CreateRule", "elasticloadbalancing:DeleteListener", "elasticloadbalancing:DeleteRule",
        "elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyListenerAttributes",
        "elasticloadbalancing:ModifyRule", "elasticloadbalancing:SetRulePriorities",
      ]
      # Listeners and rules are below their load balancer, whose name the Ingress gives.
      Resource = ["${local.elb}:listener/*", "${local.elb}:listener-rule/*"]
    },
  ]
}

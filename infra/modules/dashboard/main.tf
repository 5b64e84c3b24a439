data "aws_region" "current" {}

locals {
  region = data.aws_region.current.region

  # SageMaker counts no training jobs; `training.tf` does.
  training = [for status in keys(local.counted) : [local.training_namespace, local.counted[status], { stat = "Sum", label = "${status} jobs" }]]

  # The controller gives the load balancer's id, so that only its name is known.
  from_load_balancer = [
    for metric in [
      { name = "TargetResponseTime", stat = "Average", label = "response time, s", axis = "left" },
      { name = "HTTPCode_Target_5XX_Count", stat = "Sum", label = "5XX", axis = "right" },
      { name = "HTTPCode_Target_4XX_Count", stat = "Sum", label = "4XX", axis = "right" },
      ] : [{
        expression = "SEARCH('{AWS/ApplicationELB,LoadBalancer} MetricName=\"${metric.name}\" LoadBalancer=\"app/${var.load_balancer_name}/\"', '${metric.stat}', 60)"
        label      = metric.label
        yAxis      = metric.axis
    }]
  ]

  widgets = [
    {
      title   = "Training jobs"
      period  = 86400
      metrics = local.training
    },
    {
      title   = "API"
      period  = 60
      metrics = local.from_load_balancer
    },
    {
      title  = "Endpoint ${var.endpoint_name}"
      period = 60
      metrics = [
        for metric in ["Invocations", "InvocationsPerInstance"] :
        ["AWS/SageMaker", metric, "EndpointName", var.endpoint_name, "VariantName", "default", { stat = "Sum" }]
      ]
    },
    {
      title  = "CI/CD"
      period = 86400
      # Each deployment's values, added up over a day, or their mean. The change failure rate is the share of a day's
      # deployments that failed or were rolled back since.
      metrics = concat(
        [
          for metric, read in { DeploymentCount = "Sum", DeploymentFrequency = "Sum", FailureRate = "Sum", LeadTime = "Average" } :
          ["RetailForecast/Pipeline", metric, "Environment", var.environment, {
            stat    = read
            id      = lower(metric)
            visible = !contains(["DeploymentCount", "FailureRate"], metric)
          }]
        ],
        [[{ expression = "failurerate / deploymentcount", label = "FailureRate" }]],
      )
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.widgets : {
        type   = "metric"
        x      = index % 2 * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = local.region
          view    = "timeSeries"
          period  = widget.period
          metrics = widget.metrics
        }
      }
    ]
  })
}

//! CloudWatch as SageMaker uses it: metrics are put by the service itself, an update's alarms are looked at
//! with the execution role, whose policy has to allow `cloudwatch:DescribeAlarms`.

use std::sync::Arc;

use local_alarms::{SIGNING_NAME, TARGET};
use local_wire::{AlarmState, BoxFuture, Watch, Wire};
use serde_json::{Value, json};

use crate::identity::Identity;

/// Calls the front of CloudWatch.
pub(crate) struct CloudWatch {
    /// As the root user.
    wire: Wire,
    identity: Arc<Identity>,
}

impl CloudWatch {
    /// `wire` calls CloudWatch as the root user.
    pub(crate) fn new(wire: Wire, identity: Arc<Identity>) -> Self {
        Self { wire, identity }
    }

    async fn describe(&self, role_arn: &str, names: &[String]) -> anyhow::Result<Vec<AlarmState>> {
        let role = self.identity.wire_as(role_arn).await?;
        let wire = role.at(self.wire.endpoint());
        let target = format!("{TARGET}.DescribeAlarms");
        let input = json!({"AlarmNames": names, "AlarmTypes": ["MetricAlarm"]});
        let answer = wire.json(SIGNING_NAME, &target, input).await?;
        let alarms = answer["MetricAlarms"].as_array();
        let text =
            |alarm: &Value, member: &str| alarm[member].as_str().unwrap_or_default().to_owned();
        Ok(alarms
            .into_iter()
            .flatten()
            .map(|alarm| AlarmState {
                name: text(alarm, "AlarmName"),
                state: text(alarm, "StateValue"),
                reason: text(alarm, "StateReason"),
            })
            .collect())
    }
}

impl Watch for CloudWatch {
    fn put_metrics<'a>(
        &'a self,
        namespace: &'a str,
        data: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let target = format!("{TARGET}.PutMetricData");
            let input = json!({"Namespace": namespace, "MetricData": data});
            let put = self.wire.json(SIGNING_NAME, &target, input).await;
            put.map(drop).map_err(|error| error.to_string())
        })
    }

    fn alarms<'a>(
        &'a self,
        role_arn: &'a str,
        names: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<AlarmState>, String>> {
        Box::pin(async move {
            let described = self.describe(role_arn, names).await;
            described.map_err(|error| format!("{error:#}"))
        })
    }
}

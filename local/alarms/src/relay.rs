//! Whose turn a call is: ours when it is about alarms, else the emulator's.
//!
//! The emulator as installed can't read RPC v2 CBOR: it answers such a `PutMetricData` with success
//! and keeps nothing. Such a call is authorised here, made in JSON as the emulator's root user, and
//! answered in CBOR. Every other call is passed on as it came, and the emulator authorises it.

use axum::{
    body::Bytes,
    http::{header, request::Parts},
    response::Response,
};
use local_wire::{CallError, front::Front};
use serde_json::Value;

use super::{
    Alarms, SIGNING_NAME, TARGET,
    protocol::{self, Fault, Protocol},
};

impl Front for Alarms {
    async fn answer(&self, parts: Parts, body: Bytes) -> Response {
        let Some((protocol, operation)) = protocol::operation(&parts, &body) else {
            return self.upstream.forward(&parts, body).await;
        };
        if protocol == Protocol::Cbor && parts.headers.contains_key(header::CONTENT_ENCODING) {
            let message = "this stand-in of CloudWatch doesn't read compressed calls";
            return protocol.answer(Err(Fault::new("SerializationException", message)));
        }
        let input = protocol.read(&body);
        if is_about_alarms(&operation) {
            let answered = match &input {
                Ok(input) => self.operate(&parts, &operation, input).await,
                Err(fault) => Err(fault.clone()),
            };
            if let Some(answer) = answered.transpose() {
                return protocol.answer(answer);
            }
        }
        let response = match (protocol, &input) {
            (Protocol::Cbor, Err(fault)) => return protocol.answer(Err(fault.clone())),
            (Protocol::Cbor, Ok(input)) => {
                protocol.answer(self.translate(&parts, &operation, input).await)
            }
            // The emulator knows no condition on the namespace, and would refuse who has one.
            (Protocol::Json, Ok(input)) if operation == "PutMetricData" => {
                protocol.answer(self.translate(&parts, &operation, input).await)
            }
            (Protocol::Json | Protocol::Query, _) => self.upstream.forward(&parts, body).await,
        };
        if let ("PutMetricData", true, Ok(input)) =
            (operation.as_str(), response.status().is_success(), &input)
        {
            self.high_resolution.note(input);
        }
        response
    }
}

/// Whether it is answered here: the emulator mustn't get alarms of its own.
fn is_about_alarms(operation: &str) -> bool {
    operation.contains("Alarm")
        || matches!(
            operation,
            "TagResource" | "UntagResource" | "ListTagsForResource"
        )
}

impl Alarms {
    /// Makes a call in JSON. What has no ARN of its own is checked against `*`.
    async fn translate(
        &self,
        parts: &Parts,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Fault> {
        let namespace = input["Namespace"].as_str();
        let conditions: Vec<_> = namespace
            .map(|namespace| ("cloudwatch:namespace", namespace))
            .into_iter()
            .collect();
        let named = input["DashboardName"].as_str().into_iter();
        let listed = input["DashboardNames"].as_array().into_iter().flatten();
        let dashboards: Vec<_> = named.chain(listed.filter_map(Value::as_str)).collect();
        for dashboard in &dashboards {
            let arn = format!(
                "arn:aws:cloudwatch::{}:dashboard/{dashboard}",
                self.place.account
            );
            self.check_with(parts, operation, &arn, &conditions).await?;
        }
        if dashboards.is_empty() {
            self.check_with(parts, operation, "*", &conditions).await?;
        }
        let target = format!("{TARGET}.{operation}");
        match self.wire.json(SIGNING_NAME, &target, input.clone()).await {
            Ok(output) => Ok(output),
            Err(CallError::Service { code, message, .. }) => Err(Fault::new(code, message)),
            Err(error) => Err(Fault::new("InternalServiceFault", error.to_string())),
        }
    }
}

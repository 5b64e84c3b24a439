//! The runtime: requests to an endpoint, passed to its live process.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
    response::Response,
};
use local_wire::Caller;
use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::{error::ApiError, service::Service};

/// Longest a model may take.
const MODEL_LIMIT: Duration = Duration::from_mins(1);
const TARGET_VARIANT: &str = "x-amzn-sagemaker-target-variant";
const CUSTOM_ATTRIBUTES: &str = "x-amzn-sagemaker-custom-attributes";

/// An error of the runtime, whose bodies differ from the control plane's.
#[derive(Debug)]
pub(crate) struct RuntimeError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) body: Value,
}

impl From<ApiError> for RuntimeError {
    fn from(error: ApiError) -> Self {
        Self {
            // The runtime has HTTP's own status for a refusal.
            status: if error.code == "AccessDeniedException" {
                403
            } else {
                error.status
            },
            code: error.code,
            body: json!({"Message": error.message}),
        }
    }
}

impl RuntimeError {
    fn validation(message: &str) -> Self {
        Self {
            status: 400,
            code: "ValidationError",
            body: json!({"Message": message}),
        }
    }

    fn internal(message: &str) -> Self {
        Self {
            status: 500,
            code: "InternalFailure",
            body: json!({"Message": message}),
        }
    }

    /// The model answered with an error, or (status 0) not at all.
    fn model(status: u16, said: &str, arn: &str) -> Self {
        let who = if (400..500).contains(&status) {
            "client"
        } else {
            "server"
        };
        Self {
            status: 424,
            code: "ModelError",
            body: json!({
                "Message": format!(
                    "Received {who} error ({status}) from primary with message \"{said}\". See the \
                     log of {arn} for more information."
                ),
                "OriginalMessage": said,
                "OriginalStatusCode": status,
                "LogStreamArn": arn,
            }),
        }
    }
}

impl Service {
    /// `InvokeEndpoint`.
    pub(crate) async fn invoke_endpoint(
        &self,
        caller: &Caller,
        name: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, RuntimeError> {
        let arn = self.names.arn("endpoint", name);
        self.allow(caller, "sagemaker:InvokeEndpoint", &arn).await?;
        let target = headers.get(TARGET_VARIANT).and_then(|v| v.to_str().ok());
        // The fleet is held until the answer is here: an update waits for it before it ends the
        // old processes.
        let (_fleet, variant, port) = self.route(name, target)?;
        let mut request = self
            .http
            .post(format!("http://127.0.0.1:{port}/invocations"))
            .timeout(MODEL_LIMIT)
            .body(body);
        for header in ["content-type", "accept", CUSTOM_ATTRIBUTES] {
            if let Some(value) = headers.get(header) {
                request = request.header(header, value);
            }
        }
        let failed = |error: reqwest::Error| RuntimeError::model(0, &error.to_string(), &arn);
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let answer_headers = answer.headers().clone();
        let body = answer.bytes().await.map_err(failed)?;
        if !(200..300).contains(&status) {
            let said = String::from_utf8_lossy(&body);
            return Err(RuntimeError::model(status, &said, &arn));
        }
        let mut response = Response::builder().header("x-amzn-invoked-production-variant", variant);
        for header in ["content-type", CUSTOM_ATTRIBUTES] {
            if let Some(value) = answer_headers.get(header) {
                response = response.header(header, value);
            }
        }
        response
            .body(Body::from(body))
            .map_err(|error| RuntimeError::internal(&error.to_string()))
    }

    fn route(
        &self,
        name: &str,
        target: Option<&str>,
    ) -> Result<(Arc<Fleet>, String, u16), RuntimeError> {
        let state = self.state();
        let endpoint = state.endpoints.get(name);
        let Some((endpoint, fleet)) = endpoint.and_then(|e| Some((e, e.fleet.clone()?))) else {
            return Err(RuntimeError::validation(&format!(
                "Endpoint {name} of account {} not found.",
                self.names.account
            )));
        };
        let weight_of = |variant: &str| {
            let found = endpoint.variants.iter().find(|v| v.name == variant);
            found.map_or(0.0, |variant| variant.weight)
        };
        let variant = target.or_else(|| fleet.next(weight_of)).unwrap_or_default();
        let Some(port) = fleet.port_of(variant) else {
            return Err(RuntimeError::validation(&format!(
                "Variant {variant} not found for endpoint {name}."
            )));
        };
        let variant = variant.to_owned();
        drop(state);
        Ok((fleet, variant, port))
    }
}

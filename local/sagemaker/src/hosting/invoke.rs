//! The runtime: requests to an endpoint, passed to its live process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
    response::Response,
};
use local_wire::Caller;
use serde_json::{Value, json};

use super::{
    endpoint::Endpoint,
    fleet::Fleet,
    meter::{Invocation, Served},
};
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
        let began = Instant::now();
        let arn = self.names.arn("endpoint", name);
        self.allow(caller, "sagemaker:InvokeEndpoint", &arn).await?;
        let target = headers.get(TARGET_VARIANT).and_then(|v| v.to_str().ok());
        // The fleet is held until the answer is here: an update waits for it before it ends the
        // old processes.
        let (fleet, variant, port) = self.route(name, target)?;
        let served = Served {
            endpoint: name.to_owned(),
            variant: variant.clone(),
            config: fleet.config.clone(),
        };
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
        let asked = Instant::now();
        let answered = ask(request).await;
        let model = asked.elapsed();
        let invocation = Invocation {
            status: answered.as_ref().map_or(0, |answer| answer.status),
            model,
            overhead: began.elapsed().saturating_sub(model),
        };
        self.meter.count(&served, invocation);
        let answer = answered.map_err(|error| RuntimeError::model(0, &error.to_string(), &arn))?;
        if !(200..300).contains(&answer.status) {
            let said = String::from_utf8_lossy(&answer.body);
            return Err(RuntimeError::model(answer.status, &said, &arn));
        }
        let mut response = Response::builder().header("x-amzn-invoked-production-variant", variant);
        for header in ["content-type", CUSTOM_ATTRIBUTES] {
            if let Some(value) = answer.headers.get(header) {
                response = response.header(header, value);
            }
        }
        response
            .body(Body::from(answer.body))
            .map_err(|error| RuntimeError::internal(&error.to_string()))
    }

    fn route(
        &self,
        name: &str,
        target: Option<&str>,
    ) -> Result<(Arc<Fleet>, String, u16), RuntimeError> {
        let state = self.state();
        let endpoint = state.endpoints.get(name);
        let Some((fleet, variants)) = endpoint.and_then(Endpoint::next) else {
            return Err(RuntimeError::validation(&format!(
                "Endpoint {name} of account {} not found.",
                self.names.account
            )));
        };
        let weight_of = |variant: &str| {
            let found = variants.iter().find(|v| v.name == variant);
            found.map_or(0.0, |variant| variant.weight)
        };
        let variant = target.or_else(|| fleet.next(weight_of)).unwrap_or_default();
        let Some(port) = fleet.port_of(variant) else {
            return Err(RuntimeError::validation(&format!(
                "Variant {variant} not found for endpoint {name}."
            )));
        };
        Ok((Arc::clone(fleet), variant.to_owned(), port))
    }
}

/// What a container answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

async fn ask(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let answer = request.send().await?;
    Ok(Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.bytes().await?,
    })
}

//! Signed calls to the emulator, in the three shapes AWS services speak: JSON with a target, query
//! with XML, and REST.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::xml;

/// Longest a call may take: a synchronous Lambda invocation is the slowest of them.
const CALL_LIMIT: Duration = Duration::from_mins(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Access keys; `session_token` is set for role sessions.
#[derive(Clone)]
pub struct Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of a role session.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("{service} at {endpoint}: {source}")]
    Unreachable {
        /// Signing name of the service (`sqs`).
        service: String,
        /// Where the call went.
        endpoint: String,
        /// What the transport says.
        source: reqwest::Error,
    },
    /// The service answered with an error.
    #[error("{service} {operation}: {status} {code}: {message}")]
    Service {
        /// Signing name of the service.
        service: String,
        /// What was asked: an operation's name, or a method and path.
        operation: String,
        /// HTTP status.
        status: u16,
        /// AWS's error code without its namespace (`ResourceNotFoundException`).
        code: String,
        /// AWS's message.
        message: String,
    },
    /// The request couldn't be made, or the answer isn't what the protocol promises.
    #[error("{service} {operation}: {reason}")]
    Malformed {
        /// Signing name of the service.
        service: String,
        /// What was asked.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl CallError {
    /// AWS's error code, when the service answered.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            Self::Unreachable { .. } | Self::Malformed { .. } => None,
        }
    }

    /// HTTP status, when the service answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Service { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::Malformed { .. } => None,
        }
    }
}

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status, 2xx.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Whole body.
    pub body: Bytes,
}

/// A client for what runs on this machine, whatever proxy the surroundings name.
pub fn http_client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.unwrap_or_default()
}

/// One endpoint, one region, one identity. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Wire {
    endpoint: String,
    region: String,
    credentials: Credentials,
    http: reqwest::Client,
}

impl Wire {
    /// Calls go to `endpoint` (`http://127.0.0.1:PORT`), signed for `region`.
    pub fn new(endpoint: &str, region: &str, credentials: Credentials) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            .build()
            .unwrap_or_default();
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
            credentials,
            http,
        }
    }

    /// The same identity and region at another endpoint (a stand-in's).
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            ..self.clone()
        }
    }

    /// Another identity at the same endpoint.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        Self {
            credentials,
            ..self.clone()
        }
    }

    /// Where calls go.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The region calls are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// AWS JSON protocol: `target` is the value of `X-Amz-Target` (`AmazonSQS.SendMessage`).
    /// An empty answer is `null`.
    pub async fn json(&self, service: &str, target: &str, body: Value) -> Result<Value, CallError> {
        let operation = target.rsplit('.').next().unwrap_or(target);
        let version = if matches!(service, "sqs" | "dynamodb" | "states") {
            "application/x-amz-json-1.0"
        } else {
            "application/x-amz-json-1.1"
        };
        let response = self
            .send(Call {
                service,
                operation,
                method: Method::POST,
                path_and_query: "/",
                headers: &[("content-type", version), ("x-amz-target", target)],
                body: body.to_string().into(),
            })
            .await?;
        if response.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&response.body).map_err(|error| CallError::Malformed {
            service: service.to_owned(),
            operation: operation.to_owned(),
            reason: format!("the answer isn't JSON: {error}"),
        })
    }

    /// AWS query protocol: the answer is XML; [`crate::xml_text`] reads an element of it.
    pub async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<String, CallError> {
        let malformed = |reason: String| CallError::Malformed {
            service: service.to_owned(),
            operation: action.to_owned(),
            reason,
        };
        let fields = [("Action", action), ("Version", version)];
        // A URL's query is the form encoding of the query protocol.
        let form = reqwest::Url::parse_with_params("http://form/", fields.iter().chain(params))
            .map_err(|error| malformed(error.to_string()))?;
        let response = self
            .send(Call {
                service,
                operation: action,
                method: Method::POST,
                path_and_query: "/",
                headers: &[("content-type", "application/x-www-form-urlencoded")],
                body: form.query().unwrap_or_default().to_owned().into(),
            })
            .await?;
        String::from_utf8(response.body.into()).map_err(|error| malformed(error.to_string()))
    }

    /// A REST call (Lambda, S3, EKS). `path_and_query` is already percent-encoded.
    pub async fn rest(
        &self,
        service: &str,
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response, CallError> {
        let operation = format!("{method} {path_and_query}");
        self.send(Call {
            service,
            operation: &operation,
            method,
            path_and_query,
            headers,
            body: body.into(),
        })
        .await
    }

    async fn send(&self, call: Call<'_>) -> Result<Response, CallError> {
        let request = self.signed(&call)?;
        let unreachable = |source| CallError::Unreachable {
            service: call.service.to_owned(),
            endpoint: self.endpoint.clone(),
            source,
        };
        let response = self.http.execute(request).await.map_err(unreachable)?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok(Response {
                status: status.as_u16(),
                headers,
                body,
            });
        }
        let (code, message) = error_of(&headers, &body);
        Err(CallError::Service {
            service: call.service.to_owned(),
            operation: call.operation.to_owned(),
            status: status.as_u16(),
            code,
            message,
        })
    }

    fn signed(&self, call: &Call<'_>) -> Result<reqwest::Request, CallError> {
        let malformed = |reason: String| CallError::Malformed {
            service: call.service.to_owned(),
            operation: call.operation.to_owned(),
            reason,
        };
        let uri = format!("{}{}", self.endpoint, call.path_and_query);
        let identity = aws_credential_types::Credentials::new(
            &self.credentials.access_key_id,
            &self.credentials.secret_access_key,
            self.credentials.session_token.clone(),
            None,
            "local-wire",
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(call.service)
            .time(SystemTime::now())
            .settings(settings(call.service))
            .build()
            .map_err(|error| malformed(error.to_string()))?
            .into();
        let signable = SignableRequest::new(
            call.method.as_str(),
            &uri,
            call.headers.iter().copied(),
            SignableBody::Bytes(&call.body),
        )
        .map_err(|error| malformed(error.to_string()))?;
        let (instructions, _) = sign(signable, &parameters)
            .map_err(|error| malformed(error.to_string()))?
            .into_parts();
        let mut request = self.http.request(call.method.clone(), &uri);
        for (name, value) in call.headers.iter().copied().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        request
            .body(call.body.clone())
            .build()
            .map_err(|error| malformed(error.to_string()))
    }
}

struct Call<'a> {
    service: &'a str,
    operation: &'a str,
    method: Method,
    path_and_query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: Bytes,
}

/// S3 signs paths as they are and wants the body's digest in a header; the other services don't.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

/// Code and message of an error in any of the protocols: JSON names its code in `__type`, `code` or
/// a header, with a namespace before or a link behind it; XML in `Code`.
fn error_of(headers: &HeaderMap, body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let header = headers
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    if let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(&text) {
        let field = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| fields.get(*name)?.as_str())
                .map(str::to_owned)
        };
        let code = header
            .or_else(|| field(&["__type", "code", "Code"]))
            .unwrap_or_else(|| "Unknown".to_owned());
        let code = code.rsplit('#').next().unwrap_or(&code);
        let code = code.split(':').next().unwrap_or(code);
        let message = field(&["message", "Message"]).unwrap_or_else(|| text.into_owned());
        return (code.to_owned(), message);
    }
    (
        xml::text(&text, "Code")
            .or(header)
            .unwrap_or_else(|| "Unknown".to_owned()),
        xml::text(&text, "Message").unwrap_or_else(|| text.into_owned()),
    )
}

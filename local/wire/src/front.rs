//! A server that stands before the emulator: it answers or changes some calls and passes the rest on.

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Most bytes of a request's body.
const BODY_LIMIT: usize = 32 << 20;

/// What a front does with a call.
pub trait Front: Send + Sync + 'static {
    /// Answers it, by itself or through [`Upstream::forward`].
    fn answer(&self, parts: Parts, body: Bytes) -> impl Future<Output = Response> + Send;
}

/// Serves on `listener` until `shutdown` completes.
pub async fn serve<F: Front>(
    listener: TcpListener,
    front: Arc<F>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    // Without this, small answers wait for the peer's delayed acknowledgement, 40 ms each.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY can't be set");
        }
    });
    let router = Router::new().fallback(receive::<F>).with_state(front);
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
}

async fn receive<F: Front>(State(front): State<Arc<F>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => front.answer(parts, body).await,
        Err(error) => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    }
}

/// The emulator, behind a front.
#[derive(Debug)]
pub struct Upstream {
    endpoint: String,
    http: reqwest::Client,
}

impl Upstream {
    /// `endpoint` is the emulator's.
    pub fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            http: crate::http_client(),
        }
    }

    /// Passes a call on as it came, so that its signature stays good: the `Host` is part of it.
    pub async fn forward(&self, parts: &Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRANSFER_ENCODING);
        let request = self
            .http
            .request(parts.method.clone(), format!("{}{path}", self.endpoint))
            .headers(headers)
            .body(body);
        match pass(request).await {
            Ok(response) => response,
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
}

async fn pass(request: reqwest::RequestBuilder) -> reqwest::Result<Response> {
    let answer = request.send().await?;
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    let body = answer.bytes().await?;
    Ok((status, headers, Body::from(body)).into_response())
}

/// An answer of the AWS JSON protocol.
pub fn json_answer(body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    (headers, body.to_string()).into_response()
}

/// An error of the AWS JSON protocol.
pub fn json_error(code: &str, message: &str) -> Response {
    let body = json!({"__type": code, "message": message});
    (StatusCode::BAD_REQUEST, json_answer(&body)).into_response()
}

/// The JSON of a successful answer, for a front to read or change; the answer itself otherwise.
pub async fn read_json(response: Response) -> Result<Value, Response> {
    if !response.status().is_success() {
        return Err(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())?;
    serde_json::from_slice(&bytes).map_err(|_| Response::from_parts(parts, Body::from(bytes)))
}

//! Serving forecasts over HTTP: SageMaker's endpoints and the forecasting API.

mod body;
pub mod outside;
pub mod publisher;
pub mod settings;
pub mod source;
pub mod telemetry;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Router, http};
use serde_json::json;

use crate::forecast::Model;
use body::Refusal;
use telemetry::Recorder;

/// The largest body of `/invocations`, bytes: more than the 6 MB of a transform's batch, which is
/// `MaxPayloadInMB`'s default. It is held in memory, and so is what is read from it.
const LARGEST_BATCH: usize = 8 << 20;
/// The largest body of `/predict`, bytes: one question.
const LARGEST_QUESTION: usize = 16 << 10;

/// A model being served.
pub struct Service {
    model: Model,
    digest: String,
    release: Option<String>,
    ready: AtomicBool,
    /// Counts what is answered.
    pub recorder: Recorder,
}

impl Service {
    /// Serves `model`, whose bytes have the SHA-256 `digest`, for the release `release`.
    pub fn new(model: Model, digest: String, release: Option<String>) -> Self {
        Self {
            model,
            digest,
            release,
            ready: AtomicBool::new(true),
            recorder: Recorder::default(),
        }
    }

    /// From now on `/ping` and `/health` answer 503, so that no new requests are sent here; those
    /// that come are still answered.
    pub fn leave(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}

/// The HTTP routes over a service.
pub fn router(service: Arc<Service>) -> Router {
    let forecasts = Router::new()
        .route(
            "/predict",
            post(predict).layer(DefaultBodyLimit::max(LARGEST_QUESTION)),
        )
        .route(
            "/invocations",
            post(invocations).layer(DefaultBodyLimit::max(LARGEST_BATCH)),
        )
        .route_layer(from_fn_with_state(Arc::clone(&service), record));
    Router::new()
        .route("/ping", get(ping))
        .route("/health", get(health))
        .merge(forecasts)
        .method_not_allowed_fallback(async |method| Refusal::Method(method))
        .with_state(service)
}

async fn record(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let response = next.run(request).await;
    service.recorder.record(response.status(), start.elapsed());
    response
}

async fn ping(State(service): State<Arc<Service>>) -> StatusCode {
    if service.ready.load(Ordering::Relaxed) {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn health(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let (code, status) = if service.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    };
    let body = json!({
        "status": status,
        "model_digest": service.digest,
        "release": service.release,
        "series": service.model.series(),
        "history_end": service.model.history_end(),
    });
    (code, Json(body))
}

async fn predict(
    State(service): State<Arc<Service>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let body = body.map_err(|error| Refusal::unreceived(&error, LARGEST_QUESTION))?;
    let question = body::json_question(&body::json(&body)?, None)?;
    let forecast = service.model.forecast(question.key, question.day)?;
    Ok(Json(json!({
        "prediction": forecast.prediction,
        "fallback": forecast.fallback,
        "release": service.release,
    })))
}

async fn invocations(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|error| Refusal::unreceived(&error, LARGEST_BATCH))?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let answer: fn(&Model, &[u8]) -> Result<String, Refusal> = match content_type.as_str() {
        "text/csv" => body::answer_csv,
        "application/json" => body::answer_json,
        _ => return Err(Refusal::ContentType(content_type)),
    };
    // A batch takes up to seconds: on a thread of its own it doesn't hold up `/ping` and `/predict`.
    let answered = tokio::task::spawn_blocking(move || answer(&service.model, &body)).await;
    let text = answered.map_err(|error| Refusal::Failed(error.to_string()))??;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Malformed { .. } => http::StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method(_) => http::StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType(_) => http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Failed(_) => http::StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::error!(error = %self, "a request failed");
        }
        let body = json!({ "error": self.to_string(), "field": self.field() });
        (status, Json(body)).into_response()
    }
}

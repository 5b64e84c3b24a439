//! The wire: AWS JSON 1.1 for the control plane, REST for the runtime.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use local_wire::Caller;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{error::ApiError, input::Input, service::Service};

/// The runtime's largest payload.
const BODY_LIMIT: usize = 25 * 1024 * 1024;

/// Both APIs.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", post(control))
        .route("/endpoints/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(service)
}

async fn control(State(service): State<Arc<Service>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = text(&headers, "x-amz-target").unwrap_or_default();
    let operation = target.strip_prefix("SageMaker.").unwrap_or(target);
    let outcome = match (caller(&headers), Input::parse(&body)) {
        (Ok(caller), Ok(input)) => dispatch(&service, operation, &caller, &input).await,
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    let (status, body) = match outcome {
        Ok(answer) => (StatusCode::OK, answer),
        Err(error) => {
            tracing::debug!(operation, %error, "refused");
            // The model's own errors spell their member with a capital, those of all services don't.
            let message = match error.code {
                "ResourceInUse" | "ConflictException" => "Message",
                _ => "message",
            };
            (
                status(error.status),
                json!({"__type": error.code, message: error.message}),
            )
        }
    };
    // Operations without an output answer with nothing at all.
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let headers = [
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        ("x-amzn-requestid", Uuid::new_v4().to_string()),
    ];
    (status, headers, body).into_response()
}

async fn invoke(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outcome = match caller(&headers) {
        Ok(caller) => {
            service
                .invoke_endpoint(&caller, &name, &headers, body)
                .await
        }
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        let error_type = HeaderValue::from_static(error.code);
        let mut response = (status(error.status), error.body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert("x-amzn-errortype", error_type);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    })
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn caller(headers: &HeaderMap) -> Result<Caller, ApiError> {
    let authorization = text(headers, "authorization").unwrap_or_default();
    let token = text(headers, "x-amz-security-token");
    Caller::from_headers(authorization, token).ok_or_else(ApiError::unsigned)
}

async fn dispatch(
    service: &Arc<Service>,
    operation: &str,
    caller: &Caller,
    input: &Input,
) -> Result<Value, ApiError> {
    match operation {
        "CreateTrainingJob" => service.create_training_job(caller, input).await,
        "DescribeTrainingJob" => service.describe_training_job(caller, input).await,
        "StopTrainingJob" => service.stop_training_job(caller, input).await,
        "ListTrainingJobs" => service.list_training_jobs(caller, input).await,
        "CreateTransformJob" => service.create_transform_job(caller, input).await,
        "DescribeTransformJob" => service.describe_transform_job(caller, input).await,
        "StopTransformJob" => service.stop_transform_job(caller, input).await,
        "ListTransformJobs" => service.list_transform_jobs(caller, input).await,
        "CreateModel" => service.create_model(caller, input).await,
        "DescribeModel" => service.describe_model(caller, input).await,
        "DeleteModel" => service.delete_model(caller, input).await,
        "ListModels" => service.list_models(caller, input).await,
        "CreateModelPackageGroup" => service.create_group(caller, input).await,
        "DescribeModelPackageGroup" => service.describe_group(caller, input).await,
        "ListModelPackageGroups" => service.list_groups(caller, input).await,
        "CreateModelPackage" => service.create_package(caller, input).await,
        "DescribeModelPackage" => service.describe_package(caller, input).await,
        "UpdateModelPackage" => service.update_package(caller, input).await,
        "DeleteModelPackage" => service.delete_package(caller, input).await,
        "ListModelPackages" => service.list_packages(caller, input).await,
        "CreateEndpointConfig" => service.create_endpoint_config(caller, input).await,
        "DescribeEndpointConfig" => service.describe_endpoint_config(caller, input).await,
        "DeleteEndpointConfig" => service.delete_endpoint_config(caller, input).await,
        "ListEndpointConfigs" => service.list_endpoint_configs(caller, input).await,
        "CreateEndpoint" => service.create_endpoint(caller, input).await,
        "DescribeEndpoint" => service.describe_endpoint(caller, input).await,
        "UpdateEndpoint" => service.update_endpoint(caller, input).await,
        "UpdateEndpointWeightsAndCapacities" => service.update_weights(caller, input).await,
        "DeleteEndpoint" => service.delete_endpoint(caller, input).await,
        "ListEndpoints" => service.list_endpoints(caller, input).await,
        "AddTags" => service.add_tags(caller, input).await,
        "ListTags" => service.list_tags(caller, input).await,
        "DeleteTags" => service.delete_tags(caller, input).await,
        _ => Err(ApiError::unknown_operation(operation)),
    }
}

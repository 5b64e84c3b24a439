//! The EKS side of the cluster: `DescribeCluster`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use local_wire::{Authorize, Caller};
use serde_json::{Value, json};

/// Version of our own API server: the one whose answers were recorded.
pub(crate) const VERSION: &str = "1.36";

/// What EKS knows about the cluster.
pub(crate) struct Eks {
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) cluster_name: String,
    pub(crate) version: String,
    pub(crate) endpoint: String,
    pub(crate) ca_pem: String,
    pub(crate) created: Timestamp,
    pub(crate) authorize: Arc<dyn Authorize>,
}

/// Answers EKS's REST protocol.
pub(crate) fn router(eks: Arc<Eks>) -> Router {
    Router::new()
        .route("/clusters/{name}", get(describe))
        .fallback(async || refuse(404, "UnknownOperationException", "not served here"))
        .with_state(eks)
}

async fn describe(
    State(eks): State<Arc<Eks>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let caller = Caller::from_headers(
        value("authorization").unwrap_or_default(),
        value("x-amz-security-token"),
    );
    let Some(caller) = caller else {
        return refuse(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        );
    };
    let arn = eks.arn(&name);
    if let Err(refused) = eks
        .authorize
        .check(&caller, "eks:DescribeCluster", &arn)
        .await
    {
        return refuse(403, "AccessDeniedException", &refused.to_string());
    }
    if name != eks.cluster_name {
        let message = format!("No cluster found for name: {name}.");
        return refuse(404, "ResourceNotFoundException", &message);
    }
    answer(StatusCode::OK, &json!({"cluster": eks.cluster()}))
}

impl Eks {
    fn arn(&self, name: &str) -> String {
        format!(
            "arn:aws:eks:{}:{}:cluster/{name}",
            self.region, self.account
        )
    }

    fn cluster(&self) -> Value {
        json!({
            "name": self.cluster_name,
            "arn": self.arn(&self.cluster_name),
            "createdAt": self.created.as_second(),
            "version": self.version,
            "endpoint": self.endpoint,
            "roleArn": format!("arn:aws:iam::{}:role/eks-cluster-role", self.account),
            "resourcesVpcConfig": {
                "subnetIds": [],
                "securityGroupIds": [],
                "endpointPublicAccess": false,
                "endpointPrivateAccess": true,
            },
            "logging": {"clusterLogging": []},
            "status": "ACTIVE",
            "certificateAuthority": {"data": BASE64_STANDARD.encode(&self.ca_pem)},
            "platformVersion": "eks.1",
            "tags": {},
            "accessConfig": {"authenticationMode": "API"},
        })
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn refuse(status: u16, code: &'static str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = answer(status, &json!({"message": message}));
    let code = HeaderValue::from_static(code);
    response.headers_mut().insert("x-amzn-errortype", code);
    response
}

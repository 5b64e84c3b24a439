//! The HTTP face of the API server.

mod discovery;
mod table;
mod target;
mod verbs;
mod watch;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use axum::{
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use serde_json::Value;

use self::target::Target;
use crate::{
    auth::{Attributes, Authenticator, Identity, allows},
    error::Status,
    registry::Registry,
};

/// Largest body taken, in bytes: what etcd takes.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// Everything a request is answered from.
pub(crate) struct Api {
    pub(crate) registry: Arc<Registry>,
    pub(crate) authenticator: Authenticator,
    /// Where the logs of pods are.
    pub(crate) pods: PathBuf,
}

/// One request, read.
struct Call {
    method: Method,
    path: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Call {
    fn query(&self, name: &str) -> &str {
        self.query.get(name).map(String::as_str).unwrap_or_default()
    }

    fn is_set(&self, name: &str) -> bool {
        matches!(self.query(name), "true" | "1")
    }

    fn header(&self, name: header::HeaderName) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The field manager: as asked, or the program's name from its `User-Agent`.
    fn manager(&self) -> &str {
        match self.query("fieldManager") {
            "" => {
                let agent = self.header(header::USER_AGENT);
                agent
                    .split('/')
                    .next()
                    .filter(|name| !name.is_empty())
                    .unwrap_or("unknown")
            }
            asked => asked,
        }
    }
}

/// Answers one request.
pub(crate) async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    match api.answer(request).await {
        Ok(response) => response,
        Err(refused) => refuse(&refused),
    }
}

/// A refusal, as its status and object.
pub(crate) fn refuse(refused: &Status) -> Response {
    answer(
        StatusCode::from_u16(refused.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        &refused.body(),
    )
}

/// A JSON answer.
fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

impl Api {
    async fn answer(&self, request: Request) -> Result<Response, Status> {
        let call = read(request).await?;
        if let Some(open) = discovery::open(&call.path) {
            return Ok(open);
        }
        let identity = self
            .authenticator
            .identify(call.header(header::AUTHORIZATION))
            .await
            .ok_or_else(Status::unauthorized)?
            .acting(&call.headers)?;
        if let Some(document) = discovery::document(&call.path) {
            return Ok(answer(StatusCode::OK, &document));
        }
        let Some(target) = Target::parse(&call.path) else {
            return Err(Status::no_such_path());
        };
        let verb = target.verb(&call)?;
        self.authorize(&identity, &target, verb, &call)?;
        verbs::perform(self, &call, &target, verb, &identity).await
    }

    /// Refuses with 403 what no role allows.
    fn authorize(
        &self,
        identity: &Identity,
        target: &Target,
        verb: &str,
        call: &Call,
    ) -> Result<(), Status> {
        let selector = target.selector(call)?;
        let name = target
            .name
            .as_deref()
            .or(selector.name())
            .unwrap_or_default();
        let attributes = Attributes {
            verb,
            group: target.resource.group,
            resource: &target.qualified_resource(),
            name,
            namespace: target.namespace.as_deref(),
        };
        if allows(&self.registry.store, identity, &attributes) {
            return Ok(());
        }
        let name = target.name.as_deref().unwrap_or_default();
        let why = attributes.refusal(identity);
        Err(Status::forbidden(target.resource, name, &why))
    }
}

async fn read(request: Request) -> Result<Call, Status> {
    let (parts, body) = request.into_parts();
    let Query(query) = Query::try_from_uri(&parts.uri)
        .map_err(|error| Status::bad_request(format!("query: {error}")))?;
    let body = axum::body::to_bytes(body, LARGEST_BODY)
        .await
        .map_err(|error| Status::bad_request(format!("body: {error}")))?;
    Ok(Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query,
        headers: parts.headers,
        body: body.to_vec(),
    })
}

//! Calls to the real API server as its administrator.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    body::Body,
    http::{HeaderValue, Method, Request, Response, header, uri::PathAndQuery},
};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};

use super::RealCluster;
use crate::json::text;

/// Longest wait for a whole answer, or for the start of a watch.
const CALL: Duration = Duration::from_secs(20);
/// Largest answer read as a whole.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// How a body is to be understood.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// A whole object.
    Json,
    /// Fields to set.
    MergePatch,
    /// Fields to own, as [`super::SCHEDULER`]; makes the object if there is none.
    Apply,
}

impl Content {
    fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MergePatch => "application/merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// A call that didn't bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The API server says no.
    #[error("{code}: {message}")]
    Refused {
        /// HTTP status.
        code: u16,
        /// The `Status` object's message.
        message: String,
    },
    /// There is no whole answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Failed {
    /// Whether the answer was this HTTP status.
    pub(crate) fn is(&self, status: u16) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == status)
    }

    fn no_answer(error: impl std::fmt::Display) -> Self {
        Self::NoAnswer(error.to_string())
    }
}

/// The administrator's client.
pub(crate) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Body>,
    endpoint: String,
    authorization: HeaderValue,
}

impl Client {
    pub(crate) fn new(cluster: &RealCluster) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(cluster.ca_pem.as_bytes()) {
            let certificate = certificate.context("the certificate authority")?;
            roots
                .add(certificate)
                .context("the certificate authority")?;
        }
        anyhow::ensure!(
            !roots.is_empty(),
            "the certificate authority has no certificate"
        );
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CALL));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", cluster.token))
            .context("the administrator's token")?;
        authorization.set_sensitive(true);
        Ok(Self {
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            endpoint: cluster.endpoint.trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// Sends a request as it is, but with the endpoint's address and the administrator's token.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Failed> {
        let path = request.uri().path_and_query();
        let path = path.map_or("/", PathAndQuery::as_str);
        let uri = format!("{}{path}", self.endpoint);
        *request.uri_mut() = uri.parse().map_err(Failed::no_answer)?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        let answer = tokio::time::timeout(CALL, self.http.request(request)).await;
        let answer = answer.map_err(Failed::no_answer)?;
        answer.map_err(|error| {
            // The client's own words don't say what was wrong.
            let source = std::error::Error::source(&error).map(ToString::to_string);
            Failed::NoAnswer(format!("{error}: {}", source.unwrap_or_default()))
        })
    }

    /// A request of ours; the answer when it is a success.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<(Content, &Value)>,
    ) -> Result<Response<Incoming>, Failed> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, super::SCHEDULER);
        let body = match body {
            Some((content, body)) => {
                request = request.header(header::CONTENT_TYPE, content.media_type());
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = self
            .send(request.body(body).map_err(Failed::no_answer)?)
            .await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = read(answer).await.unwrap_or_default();
        Err(Failed::Refused {
            code: status.as_u16(),
            message: match text(&body, "/message") {
                "" => status.to_string(),
                message => message.to_owned(),
            },
        })
    }

    /// A request of ours and its whole answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(Content, &Value)>,
    ) -> Result<Value, Failed> {
        read(self.open(method, path, body).await?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failed> {
        self.call(Method::GET, path, None).await
    }

    /// Makes an object of ours, or makes it what it is to be.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Value, Failed> {
        let path = format!("{path}?fieldManager={}&force=true", super::SCHEDULER);
        let body = Some((Content::Apply, object));
        self.call(Method::PATCH, &path, body).await
    }

    /// Deletes an object, if it is still there; only that very one when there is a `uid`.
    pub(crate) async fn delete(&self, path: &str, uid: Option<&str>) -> Result<(), Failed> {
        let mut options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
        });
        if let Some(uid) = uid {
            options["preconditions"] = json!({ "uid": uid });
        }
        let body = Some((Content::Json, &options));
        match self.call(Method::DELETE, path, body).await {
            Ok(_) => Ok(()),
            // Gone, or another one has the name.
            Err(failed) if failed.is(404) || failed.is(409) => Ok(()),
            Err(failed) => Err(failed),
        }
    }
}

async fn read(answer: Response<Incoming>) -> Result<Value, Failed> {
    let whole = axum::body::to_bytes(Body::new(answer.into_body()), LARGEST_ANSWER);
    let whole = tokio::time::timeout(CALL, whole).await;
    let whole = whole.map_err(Failed::no_answer)?;
    let whole = whole.map_err(Failed::no_answer)?;
    serde_json::from_slice(&whole).map_err(Failed::no_answer)
}

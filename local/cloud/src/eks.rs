//! The front of EKS: the emulator knows clusters as records only, so a cluster's address and
//! certificate authority, as `DescribeCluster` answers them, are the Kubernetes stand-in's.

use axum::{
    body::Bytes,
    http::{Method, request::Parts},
    response::Response,
};
use serde_json::json;

use crate::front::{Front, Upstream, json_answer, read_json};

/// The front.
#[derive(Debug)]
pub struct Eks {
    /// The emulator.
    pub upstream: Upstream,
    /// Address of the cluster's API server (`https://127.0.0.1:PORT`).
    pub endpoint: String,
    /// The authority of its certificate: base64 of PEM, as EKS gives it.
    pub certificate_authority: String,
}

impl Front for Eks {
    async fn answer(&self, parts: Parts, body: Bytes) -> Response {
        let answer = self.upstream.forward(&parts, body).await;
        if parts.method != Method::GET || !describes_cluster(parts.uri.path()) {
            return answer;
        }
        match read_json(answer).await {
            Ok(mut answer) => {
                answer["cluster"]["endpoint"] = json!(self.endpoint);
                answer["cluster"]["certificateAuthority"]["data"] =
                    json!(self.certificate_authority);
                json_answer(&answer)
            }
            Err(refusal) => refusal,
        }
    }
}

fn describes_cluster(path: &str) -> bool {
    path.strip_prefix("/clusters/")
        .is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

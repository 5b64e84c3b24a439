//! The forecasting API as its users reach it.

use std::time::Duration;

use bytes::Bytes;
use domain::{
    Error, Result,
    ports::{Answer, Api},
};
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Longest wait for an answer, connecting included: twice what an alarm calls slow. `verify-release` asks up to
/// twelve questions in the 30 s of its invocation.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The API at a base URL.
///
/// A redirect is the answer: following one turns a POST into a GET.
#[derive(Debug, Clone)]
pub struct HttpApi {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base_url: String,
}

impl HttpApi {
    /// A client for `http(s)://host[:port][/path]`; nothing is sent yet.
    pub fn new(base_url: &str) -> Result<Self> {
        let uri: Option<Uri> = base_url.parse().ok();
        if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
            return Err(Error::permanent(format!(
                "`{base_url}` is no address of the forecasting API: `http(s)://host[:port][/path]` expected"
            )));
        }
        crate::context::use_ring();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(crate::context::CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| {
                Error::permanent("reading the trusted roots for the forecasting API").because(error)
            })?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        // Each probe makes its own connection: one kept while the function was frozen is dead, and
        // would say that the service is.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .map_err(|error| Error::permanent(format!("asking {path}")).because(error))?;
        let answered = tokio::time::timeout(PROBE_TIMEOUT, async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| causes(&error))?;
            let status = response.status().as_u16();
            let bytes = response
                .into_body()
                .collect()
                .await
                .map_err(|error| causes(&error))?;
            Ok((status, bytes.to_bytes()))
        });
        let trouble = match answered.await {
            Ok(Ok((status, bytes))) => {
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                return Ok(Answer {
                    status,
                    body,
                    trouble: None,
                });
            }
            Ok(Err(trouble)) => trouble,
            Err(_) => format!("no answer within {} s", PROBE_TIMEOUT.as_secs()),
        };
        Ok(Answer {
            status: 0,
            body: Value::Null,
            trouble: Some(trouble),
        })
    }
}

/// An error with its causes: the outermost says least.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Api for HttpApi {
    async fn health(&self) -> Result<Answer> {
        self.ask(Method::GET, "/health", Bytes::new()).await
    }

    async fn predict(&self, request: &Value) -> Result<Answer> {
        self.ask(Method::POST, "/predict", request.to_string().into())
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::Stub;
    use serde_json::json;

    #[tokio::test]
    async fn every_answer_is_a_fact() {
        let stub = Stub::raw(vec![
            (200, "{\"status\":\"ok\"}".to_owned()),
            (503, "<html>no pods</html>".to_owned()),
            (302, String::new()),
        ]);
        let api = HttpApi::new(&format!("{}/", stub.url)).unwrap();
        let healthy = api.health().await.unwrap();
        assert_eq!(
            (healthy.status, &healthy.body),
            (200, &json!({"status": "ok"}))
        );
        let request = json!({"store_id": 1, "item_id": 123, "date": "2023-06-15"});
        let unhealthy = api.predict(&request).await.unwrap();
        assert_eq!((unhealthy.status, &unhealthy.body), (503, &Value::Null));
        let redirected = api.predict(&request).await.unwrap();
        assert_eq!(redirected.status, 302, "not followed");
        let requests = stub.requests();
        assert_eq!(requests[0].path, "/health");
        assert_eq!(requests[1].path, "/predict");
        assert_eq!(requests[1].json(), request);
    }

    #[test]
    fn a_mistaken_address_is_not_taken_for_silence() {
        for wrong in [
            "",
            "retail-forecast-service",
            "ftp://host",
            "127.0.0.1:8080",
        ] {
            assert!(HttpApi::new(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn silence_is_a_fact_too_and_says_why() {
        // Bound, so that nobody else is, and not listening.
        let silent = tokio::net::TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = silent.local_addr().unwrap();
        let answer = HttpApi::new(&format!("http://{address}"))
            .unwrap()
            .health()
            .await
            .unwrap();
        assert_eq!(answer.status, 0);
        let trouble = answer.trouble.unwrap();
        assert!(trouble.contains("refused"), "{trouble}");
    }
}

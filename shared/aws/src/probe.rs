//! The forecasting API as its users reach it.

use std::time::Duration;

use domain::{
    Error, Result,
    ports::{Answer, Api},
};
use reqwest::{Client, RequestBuilder, Url, redirect::Policy};
use serde_json::Value;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The API at a base URL.
#[derive(Debug, Clone)]
pub struct HttpApi {
    client: Client,
    base_url: String,
}

impl HttpApi {
    /// A client for `http(s)://host[:port][/path]`; nothing is sent yet.
    pub fn new(base_url: &str) -> Result<Self> {
        let url = Url::parse(base_url).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(Error::permanent(format!(
                "`{base_url}` is no address of the forecasting API: `http(s)://host[:port][/path]` expected"
            )));
        }
        crate::context::use_ring();
        let client = Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(crate::context::CONNECT)
            // Each probe makes its own connection: one kept while the function was frozen is dead,
            // and would say that the service is.
            .pool_max_idle_per_host(0)
            // A redirect is the answer: following one turns a POST into a GET.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| {
                Error::permanent("building the client of the forecasting API").because(error)
            })?;
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
        })
    }

    async fn ask(request: RequestBuilder) -> Answer {
        let silence = |error: &reqwest::Error| Answer {
            status: 0,
            body: Value::Null,
            trouble: Some(causes(error)),
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return silence(&error),
        };
        let status = response.status().as_u16();
        match response.bytes().await {
            Ok(bytes) => Answer {
                status,
                body: serde_json::from_slice(&bytes).unwrap_or_default(),
                trouble: None,
            },
            Err(error) => silence(&error),
        }
    }
}

/// An error with its causes: reqwest names the URL first and the cause last.
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
        Ok(Self::ask(self.client.get(format!("{}/health", self.base_url))).await)
    }

    async fn predict(&self, request: &Value) -> Result<Answer> {
        let url = format!("{}/predict", self.base_url);
        Ok(Self::ask(self.client.post(url).json(request)).await)
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
        assert_eq!(api.predict(&request).await.unwrap().status, 302);
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
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let answer = HttpApi::new(&format!("http://{port}"))
            .unwrap()
            .health()
            .await
            .unwrap();
        assert_eq!(answer.status, 0);
        let trouble = answer.trouble.unwrap();
        assert!(trouble.contains("refused"), "{trouble}");
    }
}

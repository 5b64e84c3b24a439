//! Calls that a role is denied, held until somebody says what becomes of them: for a proof of the policies,
//! which finds out what each is there for.
//!
//! The stand-ins ask [`Identity`]; what the emulator answers, to a function or behind a stand-in, passes a
//! [`Gateway`]. The function sees neither: its call takes a little longer.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Method, StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use local_wire::{
    Caller,
    front::{Front, Upstream},
};
use percent_encoding::percent_decode_str;
use tokio::sync::{mpsc, oneshot};

use crate::identity::Identity;

/// Most bytes of an answer that denies.
const ANSWER_LIMIT: usize = 1 << 20;
const DENIED: &str = "not authorized to perform: ";
/// The services that functions call at the emulator's address, as their variables spell them. What the
/// runtime does with a function's queues isn't held: it is how a function says that it can't go on.
pub(crate) const SERVICES: [&str; 3] = ["S3", "EVENTBRIDGE", "SNS"];

/// A call that a role was denied. Its caller waits; when this is dropped, the call stays denied.
#[derive(Debug)]
pub struct Denied {
    /// Name of the role.
    pub role: String,
    /// `s3:GetObject`.
    pub action: String,
    /// ARN; `None` where the service names none.
    pub resource: Option<String>,
    again: oneshot::Sender<()>,
}

impl Denied {
    /// Has the call tried once more, since the role may do more now.
    pub fn try_again(self) {
        // Who doesn't wait any more has given up.
        let _ = self.again.send(());
    }
}

/// Tells of denied calls, if anybody wants to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holding(pub(crate) Option<mpsc::UnboundedSender<Denied>>);

impl Holding {
    /// Waits for what becomes of the call: whether it is tried once more.
    pub(crate) async fn is_tried_again(
        &self,
        role: &str,
        action: &str,
        resource: Option<&str>,
    ) -> bool {
        let Some(told) = &self.0 else { return false };
        let (again, answer) = oneshot::channel();
        let denied = Denied {
            role: role.to_owned(),
            action: action.to_owned(),
            resource: resource.map(str::to_owned),
            again,
        };
        told.send(denied).is_ok() && answer.await.is_ok()
    }
}

/// Stands before the emulator and holds what it denies.
pub(crate) struct Gateway {
    upstream: Upstream,
    identity: Arc<Identity>,
    holding: Holding,
}

impl Gateway {
    /// `endpoint` is the emulator's.
    pub(crate) fn new(endpoint: &str, identity: Arc<Identity>, holding: Holding) -> Self {
        Self {
            upstream: Upstream::new(endpoint),
            identity,
            holding,
        }
    }
}

impl Front for Gateway {
    async fn answer(&self, parts: Parts, body: Bytes) -> Response {
        loop {
            let response = self.upstream.forward(&parts, body.clone()).await;
            if !response.status().is_client_error() {
                return response;
            }
            let (head, answer) = response.into_parts();
            let answer = match to_bytes(answer, ANSWER_LIMIT).await {
                Ok(answer) => answer,
                Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
            };
            let again = async {
                let action = denied_action(&answer).or_else(|| denied_head(&parts, head.status))?;
                let role = self.identity.role_of(&caller(&parts.headers)?).await?;
                let object = action.starts_with("s3:").then(|| object(parts.uri.path()));
                let held = self
                    .holding
                    .is_tried_again(&role, &action, object.as_deref());
                held.await.then_some(())
            };
            if again.await.is_none() {
                return Response::from_parts(head, Body::from(answer));
            }
        }
    }
}

/// Which action an answer denies.
fn denied_action(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let (_, rest) = text.split_once(DENIED)?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == ':'));
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// The same for an answer without a body, which has the status only.
fn denied_head(parts: &Parts, status: StatusCode) -> Option<String> {
    if parts.method != Method::HEAD || status != StatusCode::FORBIDDEN {
        return None;
    }
    let query = parts.uri.query().unwrap_or_default();
    let has_version = query.split('&').any(|part| part.starts_with("versionId="));
    let action = if has_version {
        "s3:GetObjectVersion"
    } else {
        "s3:GetObject"
    };
    Some(action.to_owned())
}

fn caller(headers: &HeaderMap) -> Option<Caller> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Caller::from_headers(value("authorization")?, value("x-amz-security-token"))
}

/// ARN of what a path-style call is about.
fn object(path: &str) -> String {
    let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8_lossy();
    format!("arn:aws:s3:::{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_read_from_the_answer_and_the_path() {
        let told = |answer: &str| denied_action(answer.as_bytes());
        let xml = "<Code>AccessDenied</Code><Message>User: u is not authorized to perform: s3:GetObject because no \
                   identity-based policy allows the s3:GetObject action</Message>";
        assert_eq!(told(xml).as_deref(), Some("s3:GetObject"));
        let json = r#"{"Message":"User: u is not authorized to perform: events:PutEvents"}"#;
        assert_eq!(told(json).as_deref(), Some("events:PutEvents"));
        assert_eq!(told("<Code>NoSuchKey</Code>"), None);
        assert_eq!(object("/b/a%20b/c.json"), "arn:aws:s3:::b/a b/c.json");
    }

    #[test]
    fn what_a_denied_head_was_about_is_read_from_the_call() {
        let told = |method: &str, uri: &str, status| {
            let (parts, ()) = axum::http::Request::builder()
                .method(method)
                .uri(uri)
                .body(())
                .unwrap()
                .into_parts();
            denied_head(&parts, status)
        };
        let denied = StatusCode::FORBIDDEN;
        let with_version = told("HEAD", "/b/k?versionId=1", denied);
        assert_eq!(with_version.as_deref(), Some("s3:GetObjectVersion"));
        assert_eq!(
            told("HEAD", "/b/k", denied).as_deref(),
            Some("s3:GetObject")
        );
        assert_eq!(told("HEAD", "/b/k", StatusCode::NOT_FOUND), None);
        assert_eq!(told("GET", "/b/k", denied), None);
    }

    #[tokio::test]
    async fn a_call_is_tried_again_when_it_is_said_and_stays_denied_when_it_is_not() {
        assert!(!Holding::default().is_tried_again("r", "a:B", None).await);
        let (told, mut denied) = mpsc::unbounded_channel();
        let holding = Holding(Some(told));
        let ask = || holding.is_tried_again("r", "a:B", Some("arn"));
        let (again, ()) = tokio::join!(ask(), async {
            let call = denied.recv().await.unwrap();
            assert_eq!((call.role.as_str(), call.action.as_str()), ("r", "a:B"));
            call.try_again();
        });
        assert!(again);
        let (again, ()) = tokio::join!(ask(), async { drop(denied.recv().await) });
        assert!(!again);
        drop(denied);
        assert!(!ask().await);
    }
}

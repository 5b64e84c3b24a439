//! The queue that a function's events come from, and its dead-letter queue.

use std::time::Duration;

use aws_sdk_sqs::{Client, error::ProvideErrorMetadata as _, types::MessageAttributeValue};
use domain::{Error, Result, ports::Queue};

use crate::{Context, failure::failed};

/// Seconds. SQS hides a message for 12 hours at most, counted from its receipt, and refuses more instead of
/// shortening it: a quarter of an hour is left for the function that has it.
const LONGEST: u64 = 43_200 - 900;
/// Of a reason, in bytes: the message must stay small enough to be sent again.
const REASON: usize = 1024;

/// A queue and its dead-letter queue.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
    queue: String,
    dead_letters: String,
}

impl Sqs {
    /// A client for a queue and its dead-letter queue, by URL; nothing is sent yet.
    pub fn new(
        context: &Context,
        queue_url: impl Into<String>,
        dlq_url: impl Into<String>,
    ) -> Self {
        Self {
            client: Client::new(&context.of("SQS")),
            queue: queue_url.into(),
            dead_letters: dlq_url.into(),
        }
    }
}

impl Queue for Sqs {
    async fn delay(&self, receipt: &str, after: Duration) -> Result<()> {
        let seconds = after.as_secs().min(LONGEST);
        let doing = format!("delaying a message of {} by {seconds} s", self.queue);
        let seconds =
            i32::try_from(seconds).map_err(|error| Error::permanent(&doing).because(error))?;
        let answer = self
            .client
            .change_message_visibility()
            .queue_url(&self.queue)
            .receipt_handle(receipt)
            .visibility_timeout(seconds)
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // The handling took longer than the message was hidden: it is on its way back already.
            Err(error) if is_out_of_flight(error.code()) => Err(Error::transient(format!(
                "{doing}: the message is no longer hidden; it comes back without the delay"
            ))
            .because(error.into_service_error())),
            Err(error) => Err(failed(doing, "sqs:ChangeMessageVisibility", error)),
        }
    }

    async fn bury(&self, body: &str, reason: &str) -> Result<()> {
        let doing = format!(
            "sending a message to the dead-letter queue {}",
            self.dead_letters
        );
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(attribute(reason))
            .build()
            .map_err(|error| Error::permanent(&doing).because(error))?;
        self.client
            .send_message()
            .queue_url(&self.dead_letters)
            .message_body(body)
            .message_attributes("reason", reason)
            .send()
            .await
            .map_err(|error| failed(&doing, "sqs:SendMessage", error))?;
        Ok(())
    }
}

/// The JSON protocol names the error by its shape, the query protocol by its old code.
fn is_out_of_flight(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        code.ends_with("MessageNotInflight") || code == "ReceiptHandleIsInvalid"
    })
}

/// Text as SQS takes it for an attribute: not empty, without control characters, and short.
fn attribute(text: &str) -> String {
    let mut kept = String::with_capacity(text.len().min(REASON));
    for character in text.chars() {
        if kept.len() + character.len_utf8() > REASON {
            break;
        }
        kept.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    if kept.trim().is_empty() {
        "no reason given".to_owned()
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::Stub;
    use domain::Class;
    use serde_json::json;

    #[tokio::test]
    async fn a_delay_stays_within_what_sqs_takes() {
        let stub = Stub::new([
            (200, json!({})),
            (200, json!({})),
            (
                400,
                json!({"__type": "com.amazonaws.sqs#MessageNotInflight", "message": "no"}),
            ),
        ]);
        let queue = Sqs::new(&stub.context(), "http://q/1/q", "http://q/1/q-dead");
        queue.delay("r", Duration::from_secs(30)).await.unwrap();
        queue.delay("r", Duration::from_hours(24)).await.unwrap();
        let error = queue.delay("r", Duration::ZERO).await.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{}", error.chain());
        assert!(error.to_string().contains("no longer hidden"), "{error}");
        let timeouts: Vec<_> = stub
            .requests()
            .iter()
            .map(|request| request.json()["VisibilityTimeout"].as_u64().unwrap())
            .collect();
        assert_eq!(timeouts, [30, 42_300, 0]);
    }

    #[test]
    fn a_reason_is_made_fit_to_be_sent() {
        assert_eq!(attribute("line\nline"), "line line");
        assert_eq!(attribute(""), "no reason given");
        assert_eq!(attribute(&"é".repeat(2000)).len(), REASON);
    }
}

//! Our events on an EventBridge bus.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use domain::{
    Class, Error, Result,
    names::PROJECT,
    ports::{Announcement, Bus},
};

use crate::{
    Context,
    failure::{class, failed},
};

/// Source, detail type and detail together, as EventBridge counts them.
const LARGEST: usize = 256 * 1024;

/// One event bus. The source of what is put there is `retail-forecast`.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// A client for a bus (name or ARN); nothing is sent yet.
    pub fn new(context: &Context, bus: impl Into<String>) -> Self {
        Self {
            client: Client::new(&context.of("EVENTBRIDGE")),
            bus: bus.into(),
        }
    }
}

impl Bus for EventBridge {
    async fn announce(&self, announcement: &Announcement) -> Result<()> {
        let doing = format!(
            "putting {} on the bus {}",
            announcement.detail_type, self.bus
        );
        let detail = announcement.detail.to_string();
        let size = PROJECT.len() + announcement.detail_type.len() + detail.len();
        if size > LARGEST {
            return Err(Error::permanent(format!(
                "{doing}: {size} bytes are more than the {LARGEST} that an event may have"
            )));
        }
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(PROJECT)
            .detail_type(&announcement.detail_type)
            .detail(detail)
            .build();
        let answer = self
            .client
            .put_events()
            .entries(entry)
            .send()
            .await
            .map_err(|error| failed(&doing, "events:PutEvents", error))?;
        if answer.failed_entry_count() == 0 {
            return Ok(());
        }
        // The call succeeds even when its only entry was refused.
        let refused = answer
            .entries()
            .iter()
            .find(|entry| entry.error_code().is_some());
        let code = refused.and_then(|entry| entry.error_code());
        let message = refused.and_then(|entry| entry.error_message());
        let what = format!(
            "{doing}: the entry was refused: {}: {}",
            code.unwrap_or("no code"),
            message.unwrap_or("no message")
        );
        let internal = code.is_some_and(|code| code.starts_with("Internal"));
        Err(if internal || class(code, None) == Class::Transient {
            Error::transient(what)
        } else {
            Error::permanent(what)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::Stub;
    use serde_json::json;

    fn announcement(detail: serde_json::Value) -> Announcement {
        Announcement {
            detail_type: "ModelJudged".to_owned(),
            detail,
        }
    }

    #[tokio::test]
    async fn a_refused_entry_is_an_error_though_the_call_succeeds() {
        let refused = |code: &str| {
            let entry = json!({"ErrorCode": code, "ErrorMessage": "said so"});
            (200, json!({"FailedEntryCount": 1, "Entries": [entry]}))
        };
        let stub = Stub::new([
            (
                200,
                json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}),
            ),
            refused("ThrottlingException"),
            refused("InternalFailure"),
            refused("NotAuthorizedForDetailTypeException"),
        ]);
        let bus = EventBridge::new(&stub.context(), "retail-forecast-dev");
        let event = announcement(json!({"id": "1"}));
        bus.announce(&event).await.unwrap();
        for expected in [Class::Transient, Class::Transient, Class::Permanent] {
            let error = bus.announce(&event).await.unwrap_err();
            assert_eq!(error.class(), expected, "{error}");
        }
        let entry = stub.requests()[0].json()["Entries"][0].clone();
        assert_eq!(entry["Source"], "retail-forecast");
        assert_eq!(entry["EventBusName"], "retail-forecast-dev");
        assert_eq!(entry["Detail"], "{\"id\":\"1\"}");
    }

    #[tokio::test]
    async fn an_event_that_is_too_large_is_not_sent() {
        let stub = Stub::new([]);
        let bus = EventBridge::new(&stub.context(), "retail-forecast-dev");
        let error = bus
            .announce(&announcement(json!("x".repeat(LARGEST))))
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert!(stub.requests().is_empty());
    }
}

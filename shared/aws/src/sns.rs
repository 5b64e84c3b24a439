//! The topic that reaches people.

use aws_sdk_sns::{Client, types::MessageAttributeValue};
use domain::{
    Error, Result,
    ports::{Notice, Topic},
};
use serde_json::json;

use crate::{Context, failure::failed};

/// One SNS topic.
#[derive(Debug, Clone)]
pub struct Sns {
    client: Client,
    topic: String,
}

impl Sns {
    /// A client for a topic, by ARN; nothing is sent yet.
    pub fn new(context: &Context, topic: impl Into<String>) -> Self {
        Self {
            client: Client::new(&context.of("SNS")),
            topic: topic.into(),
        }
    }
}

impl Topic for Sns {
    async fn publish(&self, notice: &Notice) -> Result<()> {
        let doing = format!("publishing `{}` to {}", notice.subject, self.topic);
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.topic)
            .subject(&notice.subject)
            .message_structure("json")
            .message(message(notice));
        // SNS refuses an attribute without a value.
        for (name, value) in notice
            .attributes
            .iter()
            .filter(|(_, value)| !value.is_empty())
        {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| Error::permanent(&doing).because(error))?;
            request = request.message_attributes(name, value);
        }
        request
            .send()
            .await
            .map_err(|error| failed(&doing, "sns:Publish", error))?;
        Ok(())
    }
}

/// What each kind of subscriber gets: text, and for Slack (over HTTPS) a custom notification of Amazon Q Developer in
/// chat applications, which drops without a word what is of no form that it knows.
fn message(notice: &Notice) -> String {
    let custom = json!({
        "version": "1.0",
        "source": "custom",
        "content": {"title": notice.subject, "description": notice.body},
    });
    json!({"default": notice.body, "https": custom.to_string()}).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn people_get_text_and_slack_gets_a_notification_that_its_service_takes() {
        let notice = Notice {
            subject: "Retail Forecast Deployment: success".to_owned(),
            body: "Environment: \"dev\"\nBuild: build-17-0a1b2c3".to_owned(),
            attributes: BTreeMap::new(),
        };
        let message: Value = serde_json::from_str(&message(&notice)).unwrap();
        assert_eq!(message["default"], notice.body);
        // A text by protocol is a text: SNS refuses an object there.
        let slack: Value = serde_json::from_str(message["https"].as_str().unwrap()).unwrap();
        assert_eq!(
            slack,
            json!({
                "version": "1.0",
                "source": "custom",
                "content": {"title": notice.subject, "description": notice.body},
            })
        );
    }
}

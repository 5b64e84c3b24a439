//! The topic that reaches people.

use aws_sdk_sns::{Client, types::MessageAttributeValue};
use domain::{
    Error, Result,
    ports::{Notice, Topic},
};

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
            .message(&notice.body);
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

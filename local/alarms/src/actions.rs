//! What follows a change of state: the event, and the alarm's actions.
//!
//! AWS carries out an action only where the topic's or function's own policy lets the alarms'
//! service in, which the emulator doesn't look at: it is looked at here, each time. An action that AWS
//! would refuse fails at once, any other failure is tried again; either way the alarm's history and
//! the log tell, and the state stays what it is.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use anyhow::Context as _;
use local_wire::{
    CallError, Deliver, Method, Wire,
    iam::{Policy, Request},
    xml_texts,
};
use serde_json::{Value, json};

use super::{
    book::{Book, Change},
    notice,
};
use crate::Place;

/// Waits between the tries of a delivery.
const WAITS: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
const SNS: &str = "2010-03-31";

/// Tells the world of changes.
pub(crate) struct Actions {
    pub(crate) wire: Wire,
    pub(crate) place: Place,
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) book: Arc<Book>,
}

/// Why an action wasn't carried out.
#[derive(Debug)]
enum Failure {
    /// AWS would refuse it: no further try helps.
    Refused(String),
    /// Anything else.
    Failed(String),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(format!("{:#}", error.into()))
    }
}

impl Actions {
    /// Delivers the event and carries out the actions, side by side.
    pub(crate) async fn follow(&self, change: &Change) {
        let event = notice::event(change, &self.place);
        let event = tried(|| async {
            let delivered = self.deliver.deliver(event.clone()).await;
            delivered.map_err(Failure::Failed)
        });
        let definition = &change.definition;
        let enabled = definition.actions_enabled;
        let actions = definition.actions(change.to.state).iter();
        let actions = actions
            .filter(|_| enabled)
            .map(|action| self.carry_out(change, action));
        let (event, _) = tokio::join!(event, futures::future::join_all(actions));
        if let Err(failure) = event {
            let alarm = &definition.name;
            tracing::error!(alarm, ?failure, "an alarm's event couldn't be delivered");
        }
    }

    async fn carry_out(&self, change: &Change, action: &str) {
        let done = tried(|| async {
            if action.starts_with("arn:aws:sns:") {
                self.publish(change, action).await
            } else {
                self.invoke(change, action).await
            }
        });
        let alarm = &change.definition.name;
        let (summary, state, error) = match done.await {
            Ok(()) => (
                format!("Successfully executed action {action}"),
                "Succeeded",
                None,
            ),
            Err(Failure::Refused(error) | Failure::Failed(error)) => {
                tracing::error!(alarm, action, error, "an alarm's action failed");
                let summary =
                    format!("Failed to execute action {action}. Received error: \"{error}\"");
                (summary, "Failed", Some(error))
            }
        };
        let data = json!({
            "actionState": state,
            "stateUpdateTimestamp": change.to.since.as_millisecond(),
            "notificationResource": action,
            "error": error,
        });
        self.book.note_action(alarm, &summary, &data);
    }

    async fn publish(&self, change: &Change, topic: &str) -> Result<(), Failure> {
        let params = [("TopicArn", topic)];
        let attributes = self
            .wire
            .query("sns", SNS, "GetTopicAttributes", &params)
            .await?;
        let (keys, values) = (
            xml_texts(&attributes, "key"),
            xml_texts(&attributes, "value"),
        );
        let policy = keys.iter().position(|key| key == "Policy");
        let policy = policy.and_then(|at| values.get(at)).map(String::as_str);
        self.admitted(
            change,
            policy,
            "cloudwatch.amazonaws.com",
            "SNS:Publish",
            topic,
        )?;
        let (subject, message) = notice::message(change, &self.place);
        let message = message.to_string();
        let params = [
            ("TopicArn", topic),
            ("Subject", subject.as_str()),
            ("Message", message.as_str()),
        ];
        self.wire.query("sns", SNS, "Publish", &params).await?;
        Ok(())
    }

    async fn invoke(&self, change: &Change, function: &str) -> Result<(), Failure> {
        let mut parts = function.split(':').skip(6);
        let name = parts.next().context("no function name")?;
        let qualifier = parts.next();
        let path = format!("/2015-03-31/functions/{name}");
        let query =
            qualifier.map_or_else(String::new, |qualifier| format!("?Qualifier={qualifier}"));
        let policy = self
            .function_policy(&format!("{path}/policy{query}"))
            .await?;
        let principal = "lambda.alarms.cloudwatch.amazonaws.com";
        let action = "lambda:InvokeFunction";
        self.admitted(change, policy.as_deref(), principal, action, function)?;
        let path = format!("{path}/invocations{query}");
        let headers = [
            ("content-type", "application/json"),
            ("x-amz-invocation-type", "Event"),
        ];
        let payload = notice::direct(change, &self.place).to_string();
        self.wire
            .rest("lambda", Method::POST, &path, &headers, payload)
            .await?;
        Ok(())
    }

    async fn function_policy(&self, path: &str) -> Result<Option<String>, Failure> {
        match self.wire.rest("lambda", Method::GET, path, &[], "").await {
            Ok(answer) => {
                let answer: Value = serde_json::from_slice(&answer.body)?;
                Ok(answer["Policy"].as_str().map(str::to_owned))
            }
            Err(CallError::Service { status: 404, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a resource's policy lets the alarms' service in, for this alarm.
    fn admitted(
        &self,
        change: &Change,
        policy: Option<&str>,
        principal: &str,
        action: &str,
        resource: &str,
    ) -> Result<(), Failure> {
        let refused = |because: String| {
            Failure::Refused(format!(
                "CloudWatch Alarms is not authorized to perform: {action} on the resource {because}"
            ))
        };
        let none = || {
            refused(format!(
                "because no resource-based policy allows the {action} action"
            ))
        };
        let policy: Value = serde_json::from_str(policy.ok_or_else(none)?)?;
        let policy = Policy::parse(&policy).map_err(|error| {
            refused(format!("because its policy isn't understood here: {error}"))
        })?;
        let arn = notice::arn(&self.place, &change.definition.name);
        let context = BTreeMap::from([
            ("aws:sourcearn".to_owned(), arn),
            ("aws:sourceaccount".to_owned(), self.place.account.clone()),
            // What the policy asks for that SNS gives a new topic.
            ("aws:sourceowner".to_owned(), self.place.account.clone()),
        ]);
        let request = Request {
            action,
            resource,
            context: &context,
        };
        if policy.allows_service(principal, &request) {
            Ok(())
        } else {
            Err(none())
        }
    }
}

async fn tried<F, T>(mut act: F) -> Result<(), Failure>
where
    F: FnMut() -> T,
    T: Future<Output = Result<(), Failure>>,
{
    for wait in WAITS {
        match act().await {
            Err(Failure::Failed(reason)) => {
                tracing::warn!(reason, "what follows an alarm is tried again");
                tokio::time::sleep(wait).await;
            }
            done => return done,
        }
    }
    act().await
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::{Failure, tried};

    async fn tries(outcome: fn(usize) -> Result<(), Failure>) -> (usize, bool) {
        let count = Cell::new(0);
        let done = tried(|| async {
            count.set(count.get() + 1);
            outcome(count.get())
        });
        let done = tokio::time::timeout(Duration::from_mins(1), done).await;
        (count.get(), done.is_ok_and(|done| done.is_ok()))
    }

    #[tokio::test]
    async fn what_failed_is_tried_again_and_what_is_refused_is_not() {
        assert_eq!(tries(|_| Ok(())).await, (1, true));
        assert_eq!(
            tries(|_| Err(Failure::Refused(String::new()))).await,
            (1, false)
        );
        let second = |count| {
            if count == 2 {
                Ok(())
            } else {
                Err(Failure::Failed(String::new()))
            }
        };
        assert_eq!(tries(second).await, (2, true));
    }
}

//! A batch of SQS messages, each on its own.

use std::{panic::AssertUnwindSafe, time::Duration};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use domain::{Error, Result, Step, ports::Queue};
use events::Received;
use futures::FutureExt;
use serde::Serialize;

use crate::{comes_back, log};

/// Longest delay before a failed message is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// Handles each message and answers which of them must come back.
pub(crate) async fn handle<D, H>(
    function: &str,
    queue: &impl Queue,
    handle: &H,
    messages: Vec<SqsMessage>,
) -> SqsBatchResponse
where
    D: Serialize,
    H: AsyncFn(Received) -> Result<Step<D>>,
{
    let mut response = SqsBatchResponse::default();
    for message in messages {
        if one(function, queue, handle, &message).await == Fate::ComesBack {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            response.batch_item_failures.push(failure);
        }
    }
    response
}

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Deleted,
    ComesBack,
}

async fn one<D, H>(function: &str, queue: &impl Queue, handle: &H, message: &SqsMessage) -> Fate
where
    D: Serialize,
    H: AsyncFn(Received) -> Result<Step<D>>,
{
    let body = message.body.as_deref().unwrap_or_default();
    let received = match Received::parse(body) {
        Ok(received) => received,
        Err(error) => return bury(function, "", queue, message, &error).await,
    };
    let event = received.id.clone();
    // A panic is a bug, yet the other messages of the batch have nothing to do with it.
    let handled = Box::pin(async { handle(received).await });
    let answer = AssertUnwindSafe(handled).catch_unwind().await;
    match answer.unwrap_or_else(|_| {
        Err(Error::transient(
            "the handler panicked; the panic's message is on standard error",
        ))
    }) {
        Ok(step) => {
            log::decided(function, &event, &step);
            match step {
                Step::Done(_) => Fate::Deleted,
                Step::Wait { after, .. } => delay(function, &event, queue, message, after).await,
            }
        }
        Err(error) if comes_back(error.class()) => {
            log::failed(function, &event, &error);
            delay(function, &event, queue, message, backoff(message)).await
        }
        Err(error) => bury(function, &event, queue, message, &error).await,
    }
}

/// The message comes back after `after`, or after the queue's own timeout when that can't be set.
async fn delay(
    function: &str,
    event: &str,
    queue: &impl Queue,
    message: &SqsMessage,
    after: Duration,
) -> Fate {
    let receipt = message.receipt_handle.as_deref().unwrap_or_default();
    if let Err(error) = queue.delay(receipt, after).await {
        log::failed(function, event, &error);
    }
    Fate::ComesBack
}

/// The message goes to the dead-letter queue; when that fails it comes back, and is never lost.
async fn bury(
    function: &str,
    event: &str,
    queue: &impl Queue,
    message: &SqsMessage,
    error: &Error,
) -> Fate {
    log::refused(function, event, error);
    let reason = format!("{}: {}", error.class().as_str(), error.chain());
    match queue
        .bury(message.body.as_deref().unwrap_or_default(), &reason)
        .await
    {
        Ok(()) => Fate::Deleted,
        Err(error) => {
            log::failed(function, event, &error);
            Fate::ComesBack
        }
    }
}

/// 2, 4, 8, … seconds by the times the message was received.
fn backoff(message: &SqsMessage) -> Duration {
    let received = message
        .attributes
        .get("ApproximateReceiveCount")
        .and_then(|count| count.parse::<u32>().ok())
        .unwrap_or(1);
    let seconds = 2_u64.checked_pow(received.min(16)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    #[derive(Default)]
    struct Recorded {
        delays: RefCell<Vec<(String, u64)>>,
        buried: RefCell<Vec<String>>,
        broken: bool,
    }

    impl Queue for Recorded {
        async fn delay(&self, receipt: &str, after: Duration) -> Result<()> {
            self.delays
                .borrow_mut()
                .push((receipt.to_owned(), after.as_secs()));
            Ok(())
        }

        async fn bury(&self, _body: &str, reason: &str) -> Result<()> {
            if self.broken {
                return Err(Error::transient("no queue"));
            }
            self.buried.borrow_mut().push(reason.to_owned());
            Ok(())
        }
    }

    fn message(id: &str, received: u32, body: &str) -> SqsMessage {
        serde_json::from_value(json!({
            "messageId": id, "receiptHandle": format!("receipt-{id}"), "body": body, "attributes": {"ApproximateReceiveCount": received.to_string()},
            "messageAttributes": {}, "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:r:1:q", "awsRegion": "r"
        }))
        .unwrap()
    }

    fn event(id: &str) -> String {
        json!({"id": id, "source": "aws.events", "detail-type": "Scheduled Event", "time": "2026-11-23T02:00:00Z", "detail": {}}).to_string()
    }

    /// A handler that does what the event's id says.
    async fn scripted(received: Received) -> Result<Step<String>> {
        match received.id.as_str() {
            "wait" => Ok(Step::Wait {
                after: Duration::from_secs(7),
                decision: "not yet".to_owned(),
            }),
            "permanent" => Err(Error::permanent("refused for good")),
            "transient" => Err(Error::transient("try again")),
            "panic" => panic!("a bug"),
            _ => Ok(Step::Done("done".to_owned())),
        }
    }

    async fn run(queue: &Recorded, messages: Vec<SqsMessage>) -> Vec<String> {
        handle("test", queue, &scripted, messages)
            .await
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn each_message_has_its_own_fate() {
        let queue = Recorded::default();
        let messages = vec![
            message("1", 1, &event("done")),
            message("2", 1, "{\"cut"),
            message("3", 1, &event("wait")),
            message("4", 3, &event("transient")),
            message("5", 1, &event("permanent")),
            message("6", 1, &event("panic")),
            message("7", 1, &event("done")),
        ];
        assert_eq!(run(&queue, messages).await, ["3", "4", "6"]);
        assert_eq!(
            *queue.delays.borrow(),
            [
                ("receipt-3".to_owned(), 7),
                ("receipt-4".to_owned(), 8),
                ("receipt-6".to_owned(), 2)
            ]
        );
        let buried = queue.buried.borrow();
        assert!(
            buried[0].starts_with("Malformed: the message is not JSON"),
            "{}",
            buried[0]
        );
        assert_eq!(buried[1], "Permanent: refused for good");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_message_that_cannot_be_buried_comes_back() {
        let queue = Recorded {
            broken: true,
            ..Recorded::default()
        };
        assert_eq!(run(&queue, vec![message("1", 1, "nonsense")]).await, ["1"]);
    }

    #[test]
    fn backoff_grows_to_a_limit() {
        let seconds: Vec<u64> = [1, 2, 3, 8, 1000]
            .into_iter()
            .map(|received| backoff(&message("1", received, "")).as_secs())
            .collect();
        assert_eq!(seconds, [2, 4, 8, 256, 300]);
    }
}

//! A batch of SQS messages, each on its own.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use domain::{Error, Result, Step, ports::Queue};
use events::Received;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{comes_back, log};

/// Longest delay before a failed message is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);
/// Receives that each message gets, however old it is: it may have lain in the queue for hours while
/// nobody could receive it.
const FEWEST_TRIES: u32 = 5;

/// Handles each message and answers which of them must come back. `retry_for` is how old a message
/// may be that failed and is tried again.
pub(crate) async fn handle<D, H>(
    function: &str,
    retry_for: SignedDuration,
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
        if one(function, retry_for, queue, handle, &message).await == Fate::ComesBack {
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

async fn one<D, H>(
    function: &str,
    retry_for: SignedDuration,
    queue: &impl Queue,
    handle: &H,
    message: &SqsMessage,
) -> Fate
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
    // A panic is a bug that a repeat meets again; the other messages of the batch have nothing to do
    // with it.
    let handled = Box::pin(async { handle(received).await });
    let answer = AssertUnwindSafe(handled).catch_unwind().await;
    match answer.unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(step) => {
            log::decided(function, &event, &step);
            match step {
                Step::Done(_) => Fate::Deleted,
                Step::Wait { after, .. } => delay(function, &event, queue, message, after).await,
            }
        }
        Err(error) if comes_back(error.class()) => {
            let tried = Tried::of(message, Timestamp::now());
            if tried.is_enough(retry_for) {
                let given_up = Error::transient(format!(
                    "given up after {} receives in {} s (RETRY_FOR_S is {})",
                    tried.receives,
                    tried.age.as_secs(),
                    retry_for.as_secs()
                ));
                return bury(function, &event, queue, message, &given_up.because(error)).await;
            }
            log::failed(function, &event, &error);
            delay(function, &event, queue, message, backoff(tried.receives)).await
        }
        Err(error) => bury(function, &event, queue, message, &error).await,
    }
}

/// The panic in its own words, if it has any.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let words = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("its message is on standard error");
    Error::permanent(format!("the handler panicked, which is a bug: {words}"))
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

/// How hard a message was tried.
#[derive(Debug, Clone, Copy)]
struct Tried {
    /// Times that it was received, this one counted.
    receives: u32,
    /// Since it was sent. A message that doesn't say when isn't from a queue, and counts as new.
    age: SignedDuration,
}

impl Tried {
    /// By the attributes that SQS gives each message.
    fn of(message: &SqsMessage, now: Timestamp) -> Self {
        let attribute = |name: &str| message.attributes.get(name);
        let sent = attribute("SentTimestamp")
            .and_then(|ms| ms.parse().ok())
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        Self {
            receives: attribute("ApproximateReceiveCount")
                .and_then(|count| count.parse().ok())
                .unwrap_or(1),
            age: sent.map_or(SignedDuration::ZERO, |sent| now.duration_since(sent)),
        }
    }

    /// The rule: a message that fails is given up when it is as old as `retry_for` and had its
    /// fewest tries.
    fn is_enough(self, retry_for: SignedDuration) -> bool {
        self.age >= retry_for && self.receives >= FEWEST_TRIES
    }
}

/// 2, 4, 8, … seconds by the times the message was received.
fn backoff(receives: u32) -> Duration {
    let seconds = 2_u64.checked_pow(receives.min(16)).unwrap_or(u64::MAX);
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

    const RETRY_FOR: SignedDuration = SignedDuration::from_hours(6);

    fn message(id: &str, received: u32, body: &str) -> SqsMessage {
        aged(id, received, SignedDuration::ZERO, body)
    }

    fn aged(id: &str, received: u32, age: SignedDuration, body: &str) -> SqsMessage {
        let sent = (Timestamp::now() - age).as_millisecond().to_string();
        serde_json::from_value(json!({
            "messageId": id, "receiptHandle": format!("receipt-{id}"), "body": body,
            "attributes": {"ApproximateReceiveCount": received.to_string(), "SentTimestamp": sent},
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
            "panic" => panic!("row {} of 3", 4),
            _ => Ok(Step::Done("done".to_owned())),
        }
    }

    async fn run(queue: &Recorded, messages: Vec<SqsMessage>) -> Vec<String> {
        handle("test", RETRY_FOR, queue, &scripted, messages)
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
        assert_eq!(run(&queue, messages).await, ["3", "4"]);
        assert_eq!(
            *queue.delays.borrow(),
            [("receipt-3".to_owned(), 7), ("receipt-4".to_owned(), 8)]
        );
        let buried = queue.buried.borrow();
        assert!(
            buried[0].starts_with("Malformed: the message is not JSON"),
            "{}",
            buried[0]
        );
        assert_eq!(
            buried[1..],
            [
                "Permanent: refused for good",
                "Permanent: the handler panicked, which is a bug: row 4 of 3"
            ]
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_old_message_that_fails_is_buried_with_its_last_error_and_one_that_waits_is_not() {
        let queue = Recorded::default();
        let old = SignedDuration::from_hours(7);
        let messages = vec![
            aged("1", 90, old, &event("transient")),
            aged("2", 90, old, &event("wait")),
        ];
        assert_eq!(run(&queue, messages).await, ["2"]);
        let buried = queue.buried.borrow();
        assert!(
            buried[0].starts_with("Transient: given up after 90 receives in 252")
                && buried[0].ends_with("(RETRY_FOR_S is 21600): try again"),
            "{}",
            buried[0]
        );
    }

    #[test]
    fn a_message_is_given_up_when_it_is_old_and_was_tried() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let attributes = |sent: &str, receives: &str| {
            let mut message = message("1", 1, "");
            message.attributes = [
                ("SentTimestamp", sent),
                ("ApproximateReceiveCount", receives),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
            Tried::of(&message, now)
        };
        for (case, sent, receives, expected) in [
            ("young", "999999000", "400", false),
            ("a second before the limit", "978401000", "80", false),
            ("at the limit", "978400000", "80", true),
            ("old, and lay in the queue", "900000000", "4", false),
            ("old, and had its tries", "900000000", "5", true),
            ("from no queue", "", "80", false),
            ("ahead of this clock", "1000001000", "80", false),
        ] {
            assert_eq!(
                attributes(sent, receives).is_enough(RETRY_FOR),
                expected,
                "{case}"
            );
        }
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
            .map(|receives| backoff(receives).as_secs())
            .collect();
        assert_eq!(seconds, [2, 4, 8, 256, 300]);
    }
}

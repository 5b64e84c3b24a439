//! From a Lambda invocation to a handler and back; the only crate that sees `lambda_runtime`.
//!
//! An invocation is a batch of SQS messages, each an EventBridge envelope, or the envelope itself
//! (`cargo lambda invoke`, an alarm's direct action). What becomes of a message:
//!
//! | handler's answer | message | log |
//! |---|---|---|
//! | [`Step::Done`] | deleted | `decided` |
//! | [`Step::Wait`] | comes back after the delay | `decided`, with the delay |
//! | [`Class::Malformed`], [`Class::Permanent`], a panic | to the dead-letter queue at once, with the reason | `refused` |
//! | [`Class::Transient`] | comes back, each time later | `failed` |
//! | [`Class::Transient`] of a message older than `RETRY_FOR_S` | to the dead-letter queue, with the last error | `refused` |
//!
//! Messages are reported one by one, so that a bad one never fails its neighbours.

mod batch;
mod log;

use std::fmt::Display;

use aws_lambda_events::event::sqs::SqsEvent;
use domain::{Class, Result, Step, ports::Queue, settings::Settings};
use events::Received;
use jiff::SignedDuration;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::{Value, json};

/// The end of a function's process.
pub type Exit = std::result::Result<(), lambda_runtime::Error>;

/// Serves invocations until Lambda ends the process.
///
/// `function` names the function in logs; `queue` is where its messages come from. Of the settings
/// it reads `RETRY_FOR_S`: how long after it was sent a message that fails is tried again, seconds.
/// It has to be longer than any wait, so that a message that waited still has its tries.
pub async fn run<D, H>(
    function: &'static str,
    settings: &Settings,
    queue: &impl Queue,
    handle: H,
) -> Exit
where
    D: Serialize,
    H: AsyncFn(Received) -> Result<Step<D>>,
{
    let retry_for: u32 = settings
        .parsed("RETRY_FOR_S")
        .map_err(|error| failed_to_start(function, &error))?;
    let retry_for = SignedDuration::from_secs(i64::from(retry_for));
    let handle = &handle;
    // The futures of the SDK nest deeper than the compiler lays out in one piece: hence the boxes.
    let service = service_fn(move |event: LambdaEvent<Value>| {
        Box::pin(invoke(function, retry_for, queue, handle, event.payload))
    });
    Box::pin(lambda_runtime::run(service)).await
}

/// Reports a failure before the first invocation (a missing setting, say) in the form of the logs.
pub fn failed_to_start(function: &str, error: &domain::Error) -> lambda_runtime::Error {
    log::line(
        "ERROR",
        function,
        "failed to start",
        &json!({"error": error.chain(), "class": error.class().as_str()}),
    );
    error.chain().into()
}

/// Writes a line in CloudWatch's embedded metric format: a line of its own, whose fields are the metrics.
pub fn metrics(embedded: &Value) {
    log::embedded(embedded);
}

async fn invoke<D, H>(
    function: &'static str,
    retry_for: SignedDuration,
    queue: &impl Queue,
    handle: &H,
    payload: Value,
) -> std::result::Result<Value, Failure>
where
    D: Serialize,
    H: AsyncFn(Received) -> Result<Step<D>>,
{
    if payload.get("Records").is_some() {
        let batch: SqsEvent = serde_json::from_value(payload).map_err(|error| {
            domain::Error::malformed(format!(
                "an invocation with `Records` that is not a batch of SQS messages: {error}"
            ))
        })?;
        let answer = batch::handle(function, retry_for, queue, handle, batch.records).await;
        return serde_json::to_value(answer).map_err(|error| {
            Failure(domain::Error::permanent(format!(
                "the batch's answer can't be written: {error}"
            )))
        });
    }
    let received =
        Received::from_value(payload).inspect_err(|error| log::refused(function, "", error))?;
    let id = received.id.clone();
    match Box::pin(handle(received)).await {
        Ok(step) => {
            log::decided(function, &id, &step);
            let retry_after_s = match &step {
                Step::Done(_) => None,
                Step::Wait { after, .. } => Some(after.as_secs()),
            };
            Ok(
                json!({"function": function, "decision": step.decision(), "retry_after_s": retry_after_s}),
            )
        }
        Err(error) => {
            log::failed(function, &id, &error);
            Err(Failure(error))
        }
    }
}

/// An error as Lambda shows it: the class is the error type.
#[derive(Debug)]
struct Failure(domain::Error);

impl From<domain::Error> for Failure {
    fn from(error: domain::Error) -> Self {
        Self(error)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.chain())
    }
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self {
            error_type: failure.0.class().as_str().to_owned(),
            error_message: failure.0.chain(),
        }
    }
}

/// Whether a message with this error can be helped by coming back.
fn comes_back(class: Class) -> bool {
    class == Class::Transient
}

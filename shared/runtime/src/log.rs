//! One JSON line for each thing that happened: ids, not payloads; units in names.

use domain::{Error, Step};
use serde::Serialize;
use serde_json::{Value, json};

/// Writes a line with the fields of `details` beside level, function and message.
pub(crate) fn line(level: &str, function: &str, message: &str, details: &Value) {
    let mut line = json!({"level": level, "function": function, "message": message});
    if let (Value::Object(line), Value::Object(details)) = (&mut line, details) {
        line.extend(details.clone());
    }
    println!("{line}");
}

/// Writes a line that is whole as it is.
pub(crate) fn embedded(line: &Value) {
    println!("{line}");
}

pub(crate) fn decided<D: Serialize>(function: &str, event: &str, step: &Step<D>) {
    let mut details = json!({"event_id": event, "decision": step.decision()});
    if let Step::Wait { after, .. } = step {
        details["retry_after_s"] = after.as_secs().into();
    }
    line("INFO", function, "decided", &details);
}

pub(crate) fn refused(function: &str, event: &str, error: &Error) {
    line("ERROR", function, "refused", &described(event, error));
}

pub(crate) fn failed(function: &str, event: &str, error: &Error) {
    line("WARN", function, "failed", &described(event, error));
}

fn described(event: &str, error: &Error) -> Value {
    json!({"event_id": event, "class": error.class().as_str(), "error": error.chain()})
}

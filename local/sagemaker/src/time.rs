//! Times, in the three forms SageMaker writes them in.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Writes a time into an answer or an event.
pub(crate) type Format = fn(Timestamp) -> Value;

/// The API's form: seconds since the epoch, with milliseconds as the fraction.
pub(crate) fn epoch_seconds(time: Timestamp) -> Value {
    json!(time.as_millisecond() as f64 / 1000.0)
}

/// Milliseconds since the epoch as text, as training events have it.
pub(crate) fn epoch_milliseconds_text(time: Timestamp) -> Value {
    json!(time.as_millisecond().to_string())
}

/// Milliseconds since the epoch as a floating-point number, as endpoint events have it.
pub(crate) fn epoch_milliseconds(time: Timestamp) -> Value {
    json!(time.as_millisecond() as f64)
}

/// ISO 8601 to the second, as envelopes, transform events and package events have it.
pub(crate) fn iso(time: Timestamp) -> Value {
    json!(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form() -> anyhow::Result<()> {
        let time = Timestamp::from_millisecond(1_592_411_992_203)?;
        assert_eq!(epoch_seconds(time), json!(1_592_411_992.203));
        assert_eq!(epoch_milliseconds_text(time), json!("1592411992203"));
        assert_eq!(epoch_milliseconds(time), json!(1_592_411_992_203.0));
        assert_eq!(iso(time), json!("2020-06-17T16:39:52Z"));
        Ok(())
    }
}

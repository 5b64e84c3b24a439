//! EventBridge envelopes and ARNs, as AWS writes them.

use domain::release::Image;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{ACCOUNT, REGION, state::State};

impl State {
    /// An envelope; its id is a running number in the form of a UUID.
    pub(crate) fn envelope(
        &mut self,
        source: &str,
        detail_type: &str,
        resources: &[String],
        detail: &Value,
    ) -> Value {
        json!({
            "version": "0",
            "id": format!("00000000-0000-4000-8000-{:012x}", self.next()),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": self.now.to_string(),
            "region": REGION,
            "resources": resources,
            "detail": detail,
        })
    }

    /// Lets SageMaker send `SageMaker {kind} State Change` about the resource.
    pub(crate) fn report(&mut self, kind: &str, arn: String, detail: &Value) {
        let event = self.state_change(kind, arn, detail);
        self.events.push(event);
    }

    /// SageMaker's `SageMaker {kind} State Change` about the resource.
    pub(crate) fn state_change(&mut self, kind: &str, arn: String, detail: &Value) -> Value {
        let detail_type = format!("SageMaker {kind} State Change");
        self.envelope("aws.sagemaker", &detail_type, &[arn], detail)
    }
}

/// ARN of a SageMaker resource: `training-job`, `transform-job`, `model-package`, `endpoint`.
pub(crate) fn sagemaker_arn(kind: &str, name: &str) -> String {
    format!("arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}")
}

/// The digest in an image reference, empty when it names a tag.
pub(crate) fn digest_in(image: &str) -> &str {
    image.split_once('@').map_or("", |(_, digest)| digest)
}

/// Milliseconds since 1970 as text, as SageMaker's events about training jobs have them.
pub(crate) fn epoch_ms(time: Timestamp) -> String {
    time.as_millisecond().to_string()
}

/// An image of a repository of the world's account.
pub(crate) fn image(repository: &str, digest: &str) -> Image {
    Image {
        repository: format!("{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository}"),
        digest: digest.to_owned(),
    }
}

/// Checks an event of this world against a sample of AWS's: nothing is in it that the sample hasn't,
/// every value has the sample's type, and the functions can read it.
#[cfg(test)]
pub(crate) fn assert_like_sample(event: &Value, sample: &str) {
    fn compare(path: &str, ours: &Value, theirs: &Value) {
        match (ours, theirs) {
            (Value::Object(ours), Value::Object(theirs)) => {
                // Keys of these are data.
                let free = ["HyperParameters", "Tags", "finding-severity-counts"];
                if free.iter().any(|free| path.ends_with(free)) {
                    return;
                }
                for (key, value) in ours {
                    let path = format!("{path}.{key}");
                    let sample = theirs.get(key);
                    compare(&path, value, sample.unwrap_or_else(|| panic!("no {path}")));
                }
            }
            (Value::Array(ours), Value::Array(theirs)) => {
                for (ours, theirs) in ours.iter().zip(theirs) {
                    compare(&format!("{path}[]"), ours, theirs);
                }
            }
            (Value::Number(ours), Value::Number(theirs)) => {
                assert_eq!(ours.is_f64(), theirs.is_f64(), "{path}");
            }
            _ => assert_eq!(
                std::mem::discriminant(ours),
                std::mem::discriminant(theirs),
                "{path}: {ours} | {theirs}"
            ),
        }
    }
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events/samples");
    let text = std::fs::read_to_string(format!("{samples}/{sample}.json")).unwrap();
    compare("", event, &serde_json::from_str(&text).unwrap());
    events::Received::from_value(event.clone()).unwrap();
}

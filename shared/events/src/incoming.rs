//! Envelopes parsed once into a closed enum. What isn't in it is [`Event::Other`], which handlers
//! answer with "not for this function" instead of failing.

use domain::{
    Error, Result,
    ports::{Approval, JobStatus},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::announced::{Announced, SOURCE};

mod details;

use details::{
    alarm, direct_alarm, endpoint, image_push, image_scan, is_push, model_package, object_created,
    time, training_job, transform_job,
};

/// An event with what its envelope says.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// EventBridge's id; new for each delivery of the same fact by a replay, so nothing is named by it.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// S3: an object was written.
    ObjectCreated(ObjectCreated),
    /// SageMaker: a training job changed.
    TrainingJob(Job),
    /// SageMaker: a transform job changed.
    TransformJob(Job),
    /// SageMaker: a model package was registered, or its approval changed.
    ModelPackage(ModelPackage),
    /// SageMaker: an endpoint changed.
    Endpoint(Endpoint),
    /// ECR: an image was pushed, or given another tag; one event for each tag.
    ImagePush(ImagePush),
    /// ECR: an image scan ended.
    ImageScan(ImageScan),
    /// CloudWatch: an alarm changed, by EventBridge or straight from the alarm's action.
    Alarm(Alarm),
    /// The weekly schedule.
    Schedule,
    /// An event of ours.
    Announced(Announced),
    /// Anything else.
    Other {
        /// The envelope's source.
        source: String,
        /// The envelope's detail type.
        detail_type: String,
    },
}

/// A written object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectCreated {
    /// Bucket name.
    pub bucket: String,
    /// Object key. EventBridge gives it as it is; only S3's older notifications encode it.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Version, in a versioned bucket.
    pub version: Option<String>,
}

/// A job that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Job name.
    pub name: String,
    /// Status.
    pub status: JobStatus,
    /// Why it failed or was stopped.
    pub failure_reason: Option<String>,
}

/// A model package that was registered or whose approval changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPackage {
    /// ARN of the version.
    pub arn: String,
    /// Group name.
    pub group: String,
    /// Approval at the time of the event.
    pub approval: Approval,
}

/// An endpoint that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Endpoint name.
    pub name: String,
    /// Configuration name.
    pub config: String,
    /// Status in the API's spelling, whichever the event used: `IN_SERVICE` reads `InService`.
    pub status: String,
}

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePush {
    /// Repository name.
    pub repository: String,
    /// `sha256:…`.
    pub digest: String,
    /// The tag; `None` for a push by digest.
    pub tag: Option<String>,
}

/// An image scan that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageScan {
    /// Repository name.
    pub repository: String,
    /// `sha256:…`.
    pub digest: String,
    /// Tags of the image.
    pub tags: Vec<String>,
    /// `COMPLETE`, `FAILED`, ….
    pub status: String,
}

/// An alarm that changed. Whatever it watches (a metric, metric math, other alarms), this is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Alarm name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Why, in CloudWatch's words.
    pub reason: String,
    /// When it got into that state, to the millisecond: both of its deliveries say the same, whose own
    /// times differ. `None` when it doesn't say.
    pub since: Option<Timestamp>,
    /// The release whose metrics it watches: the dimension `DeploymentId` of its metric, if it has one.
    pub release: Option<String>,
    /// The endpoint configuration that it watches: the dimension `EndpointConfigName`, if it has one.
    pub endpoint_config: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    #[serde(default)]
    id: String,
    source: OneOrMany,
    detail_type: String,
    time: Value,
    detail: Value,
}

/// AWS's own sample of a model package event doubles the source into a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Received {
    /// Reads an envelope from the text of a message.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Error::malformed(format!("the message is not JSON: {error}")).because(error)
        })?;
        Self::from_value(value)
    }

    /// Reads an envelope. An error says which field of which event was expected.
    pub fn from_value(value: Value) -> Result<Self> {
        if value.get("alarmData").is_some() {
            return direct_alarm(value);
        }
        let ours = value.clone();
        let envelope: Envelope = serde_json::from_value(value).map_err(|error| {
            Error::malformed(format!("not an EventBridge event (`source`, `detail-type`, `time` and `detail` expected): {error}"))
        })?;
        let source = match envelope.source {
            OneOrMany::One(source) => source,
            OneOrMany::Many(sources) => sources.into_iter().next().unwrap_or_default(),
        };
        let time = time(&envelope.time)?;
        let detail = envelope.detail;
        let event = match (source.as_str(), envelope.detail_type.as_str()) {
            ("aws.s3", "Object Created") => Event::ObjectCreated(object_created(detail)?),
            ("aws.sagemaker", "SageMaker Training Job State Change") => {
                Event::TrainingJob(training_job(detail)?)
            }
            ("aws.sagemaker", "SageMaker Transform Job State Change") => {
                Event::TransformJob(transform_job(detail)?)
            }
            ("aws.sagemaker", "SageMaker Model Package State Change") => {
                Event::ModelPackage(model_package(detail)?)
            }
            ("aws.sagemaker", "SageMaker Endpoint State Change") => {
                Event::Endpoint(endpoint(detail)?)
            }
            ("aws.ecr", "ECR Image Scan") => Event::ImageScan(image_scan(detail)?),
            ("aws.ecr", "ECR Image Action") if is_push(&detail) => {
                Event::ImagePush(image_push(detail)?)
            }
            ("aws.cloudwatch", "CloudWatch Alarm State Change") => Event::Alarm(alarm(detail)?),
            ("aws.events", "Scheduled Event") => Event::Schedule,
            (SOURCE, detail_type) => {
                Event::Announced(serde_json::from_value(ours).map_err(|error| {
                    Error::malformed(format!("the event {detail_type} of {SOURCE}: {error}"))
                })?)
            }
            _ => Event::Other {
                source,
                detail_type: envelope.detail_type,
            },
        };
        Ok(Self {
            id: envelope.id,
            time,
            event,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(source: Value, detail_type: &str, time: Value, detail: Value) -> Result<Received> {
        Received::from_value(
            json!({"version": "0", "id": "1", "source": source, "detail-type": detail_type, "time": time, "detail": detail}),
        )
    }

    #[test]
    fn times_are_read_in_each_form_that_aws_uses() {
        for form in [
            json!("2026-11-23T02:00:00Z"),
            json!("2026-11-23T02:00:00.000+0000"),
            json!(1_795_399_200_000_i64),
            json!("1795399200000"),
        ] {
            let received = parse(
                json!("aws.events"),
                "Scheduled Event",
                form.clone(),
                json!({}),
            )
            .unwrap_or_else(|error| panic!("{form}: {error}"));
            assert_eq!(received.time.as_second(), 1_795_399_200, "{form}");
        }
        assert!(
            parse(
                json!("aws.events"),
                "Scheduled Event",
                json!(null),
                json!({})
            )
            .is_err()
        );
    }

    #[test]
    fn a_doubled_source_is_one_source() {
        let detail = json!({"ModelPackageArn": "arn", "ModelPackageGroupName": "g", "ModelApprovalStatus": "Approved"});
        let received = parse(
            json!(["aws.sagemaker", "aws.sagemaker"]),
            "SageMaker Model Package State Change",
            json!("2026-11-23T02:00:00Z"),
            detail,
        )
        .unwrap();
        assert!(matches!(
            received.event,
            Event::ModelPackage(ModelPackage {
                approval: Approval::Approved,
                ..
            })
        ));
    }

    #[test]
    fn an_image_may_have_no_tags_any_more() {
        for tags in [json!(null), json!([])] {
            let detail = json!({"repository-name": "r", "image-digest": "sha256:0", "image-tags": tags,
                "scan-status": "COMPLETE"});
            let time = json!("2026-11-23T02:00:00Z");
            let received = parse(json!("aws.ecr"), "ECR Image Scan", time, detail).unwrap();
            assert!(
                matches!(received.event, Event::ImageScan(ImageScan { tags, .. }) if tags.is_empty())
            );
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        let cases = [
            (Received::parse("{\"source\":"), "not JSON"),
            (Received::parse("{}"), "not an EventBridge event"),
            (
                parse(
                    json!("aws.s3"),
                    "Object Created",
                    json!("2026-11-23T02:00:00Z"),
                    json!({}),
                ),
                "bucket",
            ),
            (
                parse(
                    json!("retail-forecast"),
                    "Nonsense",
                    json!("2026-11-23T02:00:00Z"),
                    json!({}),
                ),
                "Nonsense",
            ),
        ];
        for (result, word) in cases {
            let error = result.unwrap_err();
            assert_eq!(error.class(), domain::Class::Malformed);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn an_unknown_event_is_not_an_error() {
        let received = parse(
            json!("aws.ec2"),
            "Whatever",
            json!("2026-11-23T02:00:00Z"),
            json!({}),
        )
        .unwrap();
        assert_eq!(
            received.event,
            Event::Other {
                source: "aws.ec2".into(),
                detail_type: "Whatever".into()
            }
        );
    }
}

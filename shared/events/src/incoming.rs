//! Envelopes parsed once into a closed enum. What isn't in it is [`Event::Other`], which handlers
//! answer with "not for this function" instead of failing.

use domain::{
    Error, Result,
    ports::{Approval, JobStatus},
};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::announced::{Announced, SOURCE};

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

/// ISO 8601, or the epoch milliseconds (number or text) of AWS's endpoint events.
fn time(value: &Value) -> Result<Timestamp> {
    let wrong = || {
        Error::malformed(format!(
            "the event's `time` is {value}: an ISO 8601 time or epoch milliseconds expected"
        ))
    };
    match value {
        Value::Number(number) => number
            .as_i64()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .ok_or_else(wrong),
        Value::String(text) => match text.parse::<i64>() {
            Ok(ms) => Timestamp::from_millisecond(ms).map_err(|_| wrong()),
            Err(_) => text.parse().map_err(|_| wrong()),
        },
        _ => Err(wrong()),
    }
}

fn detail<T: DeserializeOwned>(what: &str, value: Value) -> Result<T> {
    serde_json::from_value(value)
        .map_err(|error| Error::malformed(format!("the detail of {what}: {error}")))
}

fn object_created(value: Value) -> Result<ObjectCreated> {
    #[derive(Deserialize)]
    struct Detail {
        bucket: Bucket,
        object: Object,
    }
    #[derive(Deserialize)]
    struct Bucket {
        name: String,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Object {
        key: String,
        #[serde(default)]
        size: u64,
        version_id: Option<String>,
    }
    let detail: Detail = detail("an S3 `Object Created` event", value)?;
    Ok(ObjectCreated {
        bucket: detail.bucket.name,
        key: detail.object.key,
        size: detail.object.size,
        version: detail
            .object
            .version_id
            .filter(|version| !version.is_empty() && version != "null"),
    })
}

fn training_job(value: Value) -> Result<Job> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Detail {
        training_job_name: String,
        training_job_status: JobStatus,
        failure_reason: Option<String>,
    }
    let detail: Detail = detail("a SageMaker training job event", value)?;
    Ok(Job {
        name: detail.training_job_name,
        status: detail.training_job_status,
        failure_reason: detail.failure_reason,
    })
}

fn transform_job(value: Value) -> Result<Job> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Detail {
        transform_job_name: String,
        transform_job_status: JobStatus,
        failure_reason: Option<String>,
    }
    let detail: Detail = detail("a SageMaker transform job event", value)?;
    Ok(Job {
        name: detail.transform_job_name,
        status: detail.transform_job_status,
        failure_reason: detail.failure_reason,
    })
}

fn model_package(value: Value) -> Result<ModelPackage> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(clippy::struct_field_names, reason = "AWS's names")]
    struct Detail {
        model_package_arn: String,
        model_package_group_name: String,
        model_approval_status: Approval,
    }
    let detail: Detail = detail("a SageMaker model package event", value)?;
    Ok(ModelPackage {
        arn: detail.model_package_arn,
        group: detail.model_package_group_name,
        approval: detail.model_approval_status,
    })
}

fn endpoint(value: Value) -> Result<Endpoint> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(clippy::struct_field_names, reason = "AWS's names")]
    struct Detail {
        endpoint_name: String,
        #[serde(default)]
        endpoint_config_name: String,
        endpoint_status: String,
    }
    let detail: Detail = detail("a SageMaker endpoint event", value)?;
    Ok(Endpoint {
        name: detail.endpoint_name,
        config: detail.endpoint_config_name,
        status: api_spelling(&detail.endpoint_status),
    })
}

/// `IN_SERVICE` as `InService`; the API's own spelling stays as it is.
fn api_spelling(status: &str) -> String {
    if !status.chars().all(|c| c.is_ascii_uppercase() || c == '_') {
        return status.to_owned();
    }
    let words = status.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_ascii_lowercase())
    });
    words.collect()
}

/// The payload of an alarm's Lambda action, which has no EventBridge envelope. The alarm types of
/// `aws_lambda_events` refuse metric-math and composite alarms, so only what every alarm has is read.
fn direct_alarm(mut value: Value) -> Result<Received> {
    let time = time(value.get("time").unwrap_or(&Value::Null))?;
    let alarm = alarm(value["alarmData"].take())?;
    Ok(Received {
        id: String::new(),
        time,
        event: Event::Alarm(alarm),
    })
}

fn alarm(value: Value) -> Result<Alarm> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Detail {
        alarm_name: String,
        state: State,
        #[serde(default)]
        configuration: Value,
    }
    #[derive(Deserialize)]
    struct State {
        value: String,
        #[serde(default)]
        reason: String,
        #[serde(default)]
        timestamp: Value,
    }
    let detail: Detail = detail("a CloudWatch alarm event", value)?;
    let dimension = |name: &str| {
        let metrics = detail.configuration["metrics"].as_array().into_iter();
        let mut values = metrics.flatten().filter_map(|metric| {
            let dimensions = &metric["metricStat"]["metric"]["dimensions"];
            dimensions[name].as_str().map(str::to_owned)
        });
        values.next()
    };
    Ok(Alarm {
        since: time(&detail.state.timestamp).ok(),
        release: dimension("DeploymentId"),
        endpoint_config: dimension("EndpointConfigName"),
        name: detail.alarm_name,
        state: detail.state.value,
        reason: detail.state.reason,
    })
}

/// A delete, or a push that failed, is nothing of ours.
fn is_push(detail: &Value) -> bool {
    detail["action-type"] == "PUSH" && detail["result"] == "SUCCESS"
}

fn image_push(value: Value) -> Result<ImagePush> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Detail {
        repository_name: String,
        image_digest: String,
        image_tag: Option<String>,
    }
    let detail: Detail = detail("an ECR image action event", value)?;
    Ok(ImagePush {
        repository: detail.repository_name,
        digest: detail.image_digest,
        tag: detail.image_tag,
    })
}

fn image_scan(value: Value) -> Result<ImageScan> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Detail {
        repository_name: String,
        image_digest: String,
        #[serde(default)]
        image_tags: Vec<String>,
        scan_status: String,
    }
    let detail: Detail = detail("an ECR image scan event", value)?;
    Ok(ImageScan {
        repository: detail.repository_name,
        digest: detail.image_digest,
        tags: detail.image_tags,
        status: detail.scan_status,
    })
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
    fn statuses_read_in_the_api_spelling() {
        for (event, api) in [
            ("IN_SERVICE", "InService"),
            ("InService", "InService"),
            ("UPDATE_ROLLBACK_FAILED", "UpdateRollbackFailed"),
            ("FAILED", "Failed"),
        ] {
            assert_eq!(api_spelling(event), api);
        }
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

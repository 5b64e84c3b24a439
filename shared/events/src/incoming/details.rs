//! The details of AWS's events: lenient about what AWS is loose about, strict about what is relied on.

use domain::{
    Error, Result,
    ports::{Approval, JobStatus},
};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Alarm, Endpoint, Event, ImagePush, ImageScan, Job, ModelPackage, ObjectCreated, Received,
};

/// ISO 8601, or the epoch milliseconds (number or text) of AWS's endpoint events.
pub(super) fn time(value: &Value) -> Result<Timestamp> {
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

pub(super) fn object_created(value: Value) -> Result<ObjectCreated> {
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

pub(super) fn training_job(value: Value) -> Result<Job> {
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

pub(super) fn transform_job(value: Value) -> Result<Job> {
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

pub(super) fn model_package(value: Value) -> Result<ModelPackage> {
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

pub(super) fn endpoint(value: Value) -> Result<Endpoint> {
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
pub(super) fn direct_alarm(mut value: Value) -> Result<Received> {
    let time = time(value.get("time").unwrap_or(&Value::Null))?;
    let alarm = alarm(value["alarmData"].take())?;
    Ok(Received {
        id: String::new(),
        time,
        event: Event::Alarm(alarm),
    })
}

pub(super) fn alarm(value: Value) -> Result<Alarm> {
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

pub(super) fn image_scan(value: Value) -> Result<ImageScan> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Detail {
        repository_name: String,
        image_digest: String,
        // Absent, or `null`, when the tags were moved to another image meanwhile.
        image_tags: Option<Vec<String>>,
        scan_status: String,
    }
    let detail: Detail = detail("an ECR image scan event", value)?;
    Ok(ImageScan {
        repository: detail.repository_name,
        digest: detail.image_digest,
        tags: detail.image_tags.unwrap_or_default(),
        status: detail.scan_status,
    })
}

/// A delete, or a push that failed, is nothing of ours.
pub(super) fn is_push(detail: &Value) -> bool {
    detail["action-type"] == "PUSH" && detail["result"] == "SUCCESS"
}

pub(super) fn image_push(value: Value) -> Result<ImagePush> {
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

#[cfg(test)]
mod tests {
    use super::api_spelling;

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
}

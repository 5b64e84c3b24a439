//! Makes the plan so, by the calls that Terraform would make.

use std::{fs, io::Write as _, path::Path};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures::future::try_join_all;
use local_wire::{CallError, Method, Wire};
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    names::Place,
    plan::{self, DEAD_LETTER_RETENTION_S, FunctionPlan, QueuePlan, RulePlan},
    settings::Trigger,
};

const IAM: &str = "2010-05-08";
const SNS: &str = "2010-03-31";

/// What others than the functions may do, each from its file: SageMaker's jobs and endpoints, the pods of
/// the forecasting API, pipelines.
#[derive(Debug)]
pub struct Roles {
    pub(crate) sagemaker: Value,
    pub(crate) api: Value,
    pub(crate) pipeline: Value,
}

/// What all functions share: buckets, bus, topic and inbox, repositories, and the other roles.
pub async fn foundation(wire: &Wire, place: &Place, roles: &Roles) -> anyhow::Result<()> {
    let api = (place.api_role(), "pods.eks.amazonaws.com", &roles.api);
    let execution = place.execution_role().to_owned();
    let sagemaker = (execution, "sagemaker.amazonaws.com", &roles.sagemaker);
    // As Jenkins' instance has it; from GitHub it is assumed with a web identity.
    let pipeline = enforceable(roles.pipeline.clone());
    let pipeline = (place.pipeline_role(), "ec2.amazonaws.com", &pipeline);
    let roles = [api, sagemaker, pipeline]
        .into_iter()
        .map(|(name, service, policy)| async move {
            role(wire, &name, &plan::trust(service), Some(policy)).await
        });
    tokio::try_join!(
        data_bucket(wire, place),
        bucket(wire, place.artifacts_bucket()),
        bus(wire, place),
        alerts(wire, place),
        repositories(wire, place),
        try_join_all(roles),
    )?;
    Ok(())
}

/// A function with its role, queues, rules and mapping. `binary` is its program.
pub async fn function(
    wire: &Wire,
    place: &Place,
    plan: &FunctionPlan,
    binary: &Path,
) -> anyhow::Result<()> {
    let build = async {
        role(
            wire,
            &plan.name,
            &plan::trust("lambda.amazonaws.com"),
            Some(&plan.policy),
        )
        .await?;
        create_function(wire, plan, binary).await?;
        let alarms = plan.alarms.iter().enumerate();
        let permitted = alarms.map(|(n, alarms)| permit_alarms(wire, place, &plan.name, n, alarms));
        try_join_all(permitted).await.map(drop)
    };
    let feed = async {
        queue(wire, &plan.dead_letters, None).await?;
        queue(
            wire,
            &plan.queue,
            Some((&plan.dead_letters.arn, plan.limits.max_receive_count)),
        )
        .await?;
        try_join_all(plan.rules.iter().map(|rule| put_rule(wire, rule))).await
    };
    let (result, ()) = tokio::try_join!(async { feed.await.map(drop) }, build)?;
    let () = result;
    mapping(wire, plan).await
}

/// A policy as the emulator can enforce it: it doesn't tell a policy which events are put, and so denies each call
/// that is allowed for some of them only. `ci/tests` hold the pipelines' policy to what they put.
fn enforceable(mut policy: Value) -> Value {
    let statements = policy["Statement"].as_array_mut().into_iter().flatten();
    let conditions = statements.filter_map(|statement| statement.get_mut("Condition"));
    for operator in conditions.filter_map(Value::as_object_mut) {
        for keys in operator.values_mut().filter_map(Value::as_object_mut) {
            keys.retain(|key, _| !key.starts_with("events:"));
        }
    }
    policy
}

async fn bucket(wire: &Wire, name: String) -> anyhow::Result<()> {
    let location = format!(
        "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        wire.region()
    );
    // us-east-1 is S3's default and refuses to be named.
    let body = if wire.region() == "us-east-1" {
        String::new()
    } else {
        location
    };
    wire.rest("s3", Method::PUT, &format!("/{name}"), &[], body)
        .await?;
    Ok(())
}

async fn data_bucket(wire: &Wire, place: &Place) -> anyhow::Result<()> {
    let name = place.data_bucket();
    bucket(wire, name.clone()).await?;
    let notify =
        "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
    let path = format!("/{name}?notification");
    wire.rest("s3", Method::PUT, &path, &[], notify).await?;
    // An upload is read as it was told: in the version that its event names.
    let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let path = format!("/{name}?versioning");
    wire.rest("s3", Method::PUT, &path, &[], versions).await?;
    Ok(())
}

async fn bus(wire: &Wire, place: &Place) -> anyhow::Result<()> {
    let body = json!({"Name": place.event_bus()});
    wire.json("events", "AWSEvents.CreateEventBus", body)
        .await?;
    Ok(())
}

/// The topic, and a queue that gets what a person's mailbox would.
async fn alerts(wire: &Wire, place: &Place) -> anyhow::Result<()> {
    let topic = place.alerts_topic_arn();
    let name = topic.rsplit(':').next().unwrap_or_default();
    let inbox = place.arn("sqs", place.alerts_inbox());
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": inbox,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }],
    });
    let body = json!({
        "QueueName": place.alerts_inbox(),
        "Attributes": {"Policy": policy.to_string()},
    });
    wire.json("sqs", "AmazonSQS.CreateQueue", body).await?;
    let alarms = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic,
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
        }],
    });
    let alarms = alarms.to_string();
    let params = [
        ("Name", name),
        ("Attributes.entry.1.key", "Policy"),
        ("Attributes.entry.1.value", alarms.as_str()),
    ];
    wire.query("sns", SNS, "CreateTopic", &params).await?;
    let params = [
        ("TopicArn", topic.as_str()),
        ("Protocol", "sqs"),
        ("Endpoint", &inbox),
    ];
    wire.query("sns", SNS, "Subscribe", &params).await?;
    Ok(())
}

/// A role with one inline policy, or none.
async fn role(
    wire: &Wire,
    name: &str,
    trust: &Value,
    policy: Option<&Value>,
) -> anyhow::Result<()> {
    let trust = trust.to_string();
    let params = [("RoleName", name), ("AssumeRolePolicyDocument", &trust)];
    wire.query("iam", IAM, "CreateRole", &params).await?;
    match policy {
        Some(policy) => role_policy(wire, name, policy).await,
        None => Ok(()),
    }
}

/// Gives a role its one inline policy, in the place of an earlier one.
pub(crate) async fn role_policy(wire: &Wire, role: &str, policy: &Value) -> anyhow::Result<()> {
    let policy = policy.to_string();
    let params = [
        ("RoleName", role),
        ("PolicyName", role),
        ("PolicyDocument", &policy),
    ];
    wire.query("iam", IAM, "PutRolePolicy", &params).await?;
    Ok(())
}

/// Tags are immutable but for `latest-*`; the registry's front holds them to it.
async fn repositories(wire: &Wire, place: &Place) -> anyhow::Result<()> {
    for name in place.repositories() {
        let body = json!({
            "repositoryName": name,
            "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
            "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest-*"}],
            "imageScanningConfiguration": {"scanOnPush": true},
        });
        wire.json(
            "ecr",
            "AmazonEC2ContainerRegistry_V20150921.CreateRepository",
            body,
        )
        .await?;
    }
    Ok(())
}

async fn queue(wire: &Wire, queue: &QueuePlan, redrive: Option<(&str, u32)>) -> anyhow::Result<()> {
    let mut attributes = json!({"VisibilityTimeout": queue.visibility_timeout_s.to_string()});
    match redrive {
        Some((target, most)) => {
            let redrive = json!({"deadLetterTargetArn": target, "maxReceiveCount": most});
            attributes["RedrivePolicy"] = json!(redrive.to_string());
            // The longest there is: a message is given up by the count of its receives, not by its age.
            attributes["MessageRetentionPeriod"] = json!(DEAD_LETTER_RETENTION_S.to_string());
        }
        None => {
            attributes["MessageRetentionPeriod"] = json!(DEAD_LETTER_RETENTION_S.to_string());
        }
    }
    if let Some(policy) = &queue.policy {
        attributes["Policy"] = json!(policy.to_string());
    }
    let body = json!({"QueueName": queue.name, "Attributes": attributes});
    wire.json("sqs", "AmazonSQS.CreateQueue", body).await?;
    Ok(())
}

async fn put_rule(wire: &Wire, rule: &RulePlan) -> anyhow::Result<()> {
    let mut body = json!({
        "Name": rule.name,
        "EventBusName": rule.bus(),
        "Description": rule.description,
        "State": "ENABLED",
    });
    match &rule.trigger {
        Trigger::Pattern { pattern, .. } => body["EventPattern"] = json!(pattern.to_string()),
        Trigger::Schedule(schedule) => body["ScheduleExpression"] = json!(schedule),
    }
    let context = || format!("rule {}", rule.name);
    wire.json("events", "AWSEvents.PutRule", body)
        .await
        .with_context(context)?;
    let body = json!({
        "Rule": rule.name,
        "EventBusName": rule.bus(),
        "Targets": [{"Id": "queue", "Arn": rule.target}],
    });
    wire.json("events", "AWSEvents.PutTargets", body)
        .await
        .with_context(context)?;
    Ok(())
}

async fn create_function(wire: &Wire, plan: &FunctionPlan, binary: &Path) -> anyhow::Result<()> {
    let code = package(binary)?;
    let body = json!({
        "FunctionName": plan.name,
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": plan.role_arn,
        "Code": {"ZipFile": BASE64.encode(code)},
        "Timeout": plan.limits.timeout_s,
        "MemorySize": plan.limits.memory_mb,
        "EphemeralStorage": {"Size": plan.limits.ephemeral_storage_mb},
        "Environment": {"Variables": plan.limits.environment},
    });
    let headers = [("content-type", "application/json")];
    wire.rest(
        "lambda",
        Method::POST,
        "/2015-03-31/functions",
        &headers,
        body.to_string(),
    )
    .await?;
    Ok(())
}

/// Lets CloudWatch invoke a function on behalf of these alarms of this account.
async fn permit_alarms(
    wire: &Wire,
    place: &Place,
    function: &str,
    number: usize,
    alarms: &str,
) -> anyhow::Result<()> {
    let permission = json!({
        "StatementId": format!("alarms-{number}"),
        "Action": "lambda:InvokeFunction",
        "Principal": "lambda.alarms.cloudwatch.amazonaws.com",
        "SourceAccount": place.account,
        "SourceArn": alarms,
    });
    let path = format!("/2015-03-31/functions/{function}/policy");
    let headers = [("content-type", "application/json")];
    wire.rest(
        "lambda",
        Method::POST,
        &path,
        &headers,
        permission.to_string(),
    )
    .await
    .with_context(|| format!("alarms' permission to invoke {function}"))?;
    Ok(())
}

/// A deployment package: the program as `bootstrap`. Stored, not compressed: it goes nowhere.
fn package(binary: &Path) -> anyhow::Result<Vec<u8>> {
    let program = fs::read(binary)
        .with_context(|| format!("{}: is the function built?", binary.display()))?;
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::with_capacity(
        program.len() + 256,
    )));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&program)?;
    Ok(zip.finish()?.into_inner())
}

async fn mapping(wire: &Wire, plan: &FunctionPlan) -> anyhow::Result<()> {
    let limits = &plan.limits;
    let body = json!({
        "FunctionName": plan.name,
        "EventSourceArn": plan.queue.arn,
        "BatchSize": limits.batch_size,
        "MaximumBatchingWindowInSeconds": limits.batching_window_s,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": limits.concurrency},
    });
    let headers = [("content-type", "application/json")];
    let path = "/2015-03-31/event-source-mappings";
    let created: Result<_, CallError> = wire
        .rest("lambda", Method::POST, path, &headers, body.to_string())
        .await;
    created.with_context(|| format!("mapping of {}", plan.name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::enforceable;

    #[test]
    fn only_conditions_on_events_are_left_out() {
        let policy = |keys| json!({"Statement": [{"Action": "a", "Condition": {"StringEquals": keys}}, {"Action": "b"}]});
        let whole = json!({"events:source": "retail-forecast", "kms:ViaService": "s3"});
        let left = json!({"kms:ViaService": "s3"});
        assert_eq!(enforceable(policy(whole)), policy(left));
    }
}

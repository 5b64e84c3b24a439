//! IAM: what is checked for which call, and what a refusal looks like.

use serde_json::{Value, json};

use crate::support::{ARN, Cloud, ROLE, lock};

async fn asked(cloud: &Cloud, operation: &str, request: Value) -> anyhow::Result<Vec<String>> {
    lock(&cloud.gate.asked).clear();
    // The call may fail for want of the resource; what counts is what was asked before.
    let _ = cloud.refused(operation, request).await;
    Ok(lock(&cloud.gate.asked).clone())
}

fn training() -> Value {
    json!({
        "TrainingJobName": "job-1",
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://data/models/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "Tags": [{"Key": "a", "Value": "b"}],
    })
}

#[tokio::test]
async fn a_refusal_is_an_access_denied_exception_with_iams_words() -> anyhow::Result<()> {
    let cloud = Cloud::start().await?;
    for (refused, action, resource) in [
        (
            "sagemaker:CreateTrainingJob",
            "sagemaker:CreateTrainingJob",
            format!("{ARN}:training-job/job-1"),
        ),
        ("iam:PassRole", "iam:PassRole", ROLE.to_owned()),
        (
            "sagemaker:AddTags",
            "sagemaker:AddTags",
            format!("{ARN}:training-job/job-1"),
        ),
    ] {
        *lock(&cloud.gate.refused) = vec![refused.to_owned()];
        let refusal = cloud.refused("CreateTrainingJob", training()).await?;
        assert_eq!(
            (refusal.status, refusal.code.as_str()),
            (400, "AccessDeniedException")
        );
        let expected = format!(
            "User: AKIATEST is not authorized to perform: {action} on resource: {resource}"
        );
        assert_eq!(refusal.message, expected);
    }
    lock(&cloud.gate.refused).clear();
    let listed = cloud.ok("ListTrainingJobs", json!({})).await?;
    assert_eq!(
        listed["TrainingJobSummaries"],
        json!([]),
        "a refused call changes nothing"
    );
    Ok(())
}

#[tokio::test]
async fn each_call_names_the_resource_that_aws_checks() -> anyhow::Result<()> {
    let cloud = Cloud::start().await?;
    let endpoint = json!({"EndpointName": "e", "EndpointConfigName": "c"});
    let version = format!("{ARN}:model-package/g/3");
    for (operation, request, expected) in [
        (
            "DescribeTrainingJob",
            json!({"TrainingJobName": "j"}),
            vec![format!("{ARN}:training-job/j")],
        ),
        (
            "StopTransformJob",
            json!({"TransformJobName": "j"}),
            vec![format!("{ARN}:transform-job/j")],
        ),
        (
            "DescribeModel",
            json!({"ModelName": "m"}),
            vec![format!("{ARN}:model/m")],
        ),
        (
            "DescribeModelPackageGroup",
            json!({"ModelPackageGroupName": "g"}),
            vec![format!("{ARN}:model-package-group/g")],
        ),
        (
            "DescribeModelPackage",
            json!({"ModelPackageName": version}),
            vec![version.clone()],
        ),
        (
            "UpdateModelPackage",
            json!({"ModelPackageArn": version}),
            vec![version.clone()],
        ),
        (
            "ListModelPackages",
            json!({"ModelPackageGroupName": "g"}),
            vec![format!("{ARN}:model-package/g/*")],
        ),
        (
            "UpdateEndpoint",
            endpoint,
            vec![
                format!("{ARN}:endpoint/e"),
                format!("{ARN}:endpoint-config/c"),
            ],
        ),
        (
            "DeleteEndpointConfig",
            json!({"EndpointConfigName": "c"}),
            vec![format!("{ARN}:endpoint-config/c")],
        ),
        (
            "ListTags",
            json!({"ResourceArn": version}),
            vec![version.clone()],
        ),
        ("ListEndpoints", json!({}), vec!["*".to_owned()]),
    ] {
        let wanted: Vec<String> = expected
            .into_iter()
            .map(|resource| format!("sagemaker:{operation} {resource}"))
            .collect();
        assert_eq!(asked(&cloud, operation, request).await?, wanted);
    }
    Ok(())
}

#[tokio::test]
async fn the_runtime_is_guarded_too() -> anyhow::Result<()> {
    let cloud = Cloud::start().await?;
    *lock(&cloud.gate.refused) = vec!["sagemaker:InvokeEndpoint".to_owned()];
    let answer = cloud.invoke("api", "x").await?;
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.headers()["x-amzn-errortype"],
        "AccessDeniedException"
    );
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    assert!(
        body["Message"]
            .as_str()
            .is_some_and(|m| m.contains(":endpoint/api"))
    );
    Ok(())
}

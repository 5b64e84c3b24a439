//! Model package groups, packages, models and tags.

use serde_json::{Value, json};

use crate::support::{ARN, Cloud, ROLE};

const EVENT: &str = "SageMaker Model Package State Change";
const GROUP: &str = "retail-forecast-models";

fn package(token: &str) -> Value {
    json!({
        "ModelPackageGroupName": GROUP,
        "InferenceSpecification": {
            "Containers": [{
                "Image": "server@sha256:0f1e",
                "ModelDataUrl": "s3://data/models/job-1/output/model.tar.gz",
            }],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        "CustomerMetadataProperties": {"training-job": "job-1"},
        "ClientToken": token,
    })
}

async fn cloud() -> anyhow::Result<Cloud> {
    let cloud = Cloud::start().await?;
    cloud
        .ok(
            "CreateModelPackageGroup",
            json!({"ModelPackageGroupName": GROUP}),
        )
        .await?;
    Ok(cloud)
}

async fn create(cloud: &Cloud, request: Value) -> anyhow::Result<String> {
    let answer = cloud.ok("CreateModelPackage", request).await?;
    Ok(answer["ModelPackageArn"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

#[tokio::test]
async fn groups_are_made_once() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let group = json!({"ModelPackageGroupName": GROUP});
    let refusal = cloud
        .refused("CreateModelPackageGroup", group.clone())
        .await?;
    let arn = format!("{ARN}:model-package-group/{GROUP}");
    assert_eq!(
        refusal.message,
        format!("Model Package Group already exists: {arn}")
    );
    let described = cloud.ok("DescribeModelPackageGroup", group).await?;
    assert_eq!(described["ModelPackageGroupArn"], arn);
    assert_eq!(described["ModelPackageGroupStatus"], "Completed");
    let unknown = json!({"ModelPackageGroupName": "unknown"});
    let refusal = cloud
        .refused("DescribeModelPackageGroup", unknown.clone())
        .await?;
    assert_eq!(refusal.code, "ValidationException");
    assert!(
        refusal.message.ends_with("does not exist."),
        "{}",
        refusal.message
    );
    let mut orphan = package("t");
    orphan["ModelPackageGroupName"] = unknown["ModelPackageGroupName"].clone();
    assert!(
        cloud
            .refused("CreateModelPackage", orphan)
            .await?
            .message
            .ends_with("does not exist.")
    );
    let listed = cloud.ok("ListModelPackageGroups", json!({})).await?;
    assert_eq!(
        listed["ModelPackageGroupSummaryList"][0]["ModelPackageGroupName"],
        GROUP
    );
    Ok(())
}

#[tokio::test]
async fn a_token_registers_once() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let first = create(&cloud, package("token-1")).await?;
    assert_eq!(first, format!("{ARN}:model-package/{GROUP}/1"));
    assert_eq!(create(&cloud, package("token-1")).await?, first);
    assert_eq!(
        create(&cloud, package("token-2")).await?,
        format!("{ARN}:model-package/{GROUP}/2")
    );
    let mut other = package("token-1");
    other["CustomerMetadataProperties"]["training-job"] = json!("job-2");
    let refusal = cloud.refused("CreateModelPackage", other).await?;
    assert_eq!(refusal.code, "ConflictException");
    cloud.events.wait(EVENT, 2).await?;
    assert_eq!(
        cloud.events.details(EVENT).len(),
        2,
        "a repeated call tells nothing"
    );
    Ok(())
}

#[tokio::test]
async fn registration_and_each_update_are_told() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let arn = create(&cloud, package("t")).await?;
    let told = cloud.events.wait(EVENT, 1).await?;
    let registered = &told[0];
    assert_eq!(registered["ModelPackageGroupName"], GROUP);
    assert_eq!(registered["ModelPackageVersion"], 1);
    assert_eq!(registered["ModelPackageArn"], arn);
    assert_eq!(registered["ModelPackageStatus"], "Completed");
    assert_eq!(registered["ModelApprovalStatus"], "PendingManualApproval");
    let container = &registered["InferenceSpecification"]["Containers"][0];
    assert_eq!(container["ImageDigest"], "sha256:0f1e");
    assert!(registered.get("UpdatedModelPackageFields").is_none());

    let approve = json!({
        "ModelPackageArn": arn, "ModelApprovalStatus": "Approved", "ApprovalDescription": "by hand",
    });
    cloud.ok("UpdateModelPackage", approve).await?;
    let told = cloud.events.wait(EVENT, 2).await?;
    assert_eq!(told[1]["ModelApprovalStatus"], "Approved");
    let fields = json!(["ModelApprovalStatus", "ApprovalDescription"]);
    assert_eq!(told[1]["UpdatedModelPackageFields"], fields);
    assert!(told[1]["LastModifiedTime"].is_string());

    let note = json!({
        "ModelPackageArn": arn,
        "CustomerMetadataProperties": {"quarantined": "false"},
        "CustomerMetadataPropertiesToRemove": ["training-job"],
    });
    cloud.ok("UpdateModelPackage", note).await?;
    let described = cloud
        .ok("DescribeModelPackage", json!({"ModelPackageName": arn}))
        .await?;
    assert_eq!(
        described["ModelApprovalStatus"], "Approved",
        "metadata leaves the approval alone"
    );
    assert_eq!(described["ApprovalDescription"], "by hand");
    assert_eq!(
        described["CustomerMetadataProperties"],
        json!({"quarantined": "false"})
    );
    let told = cloud.events.wait(EVENT, 3).await?;
    assert_eq!(
        told[2]["UpdatedModelPackageFields"],
        json!(["CustomerMetadataProperties"])
    );
    Ok(())
}

#[tokio::test]
async fn packages_are_found_listed_and_deleted() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    for n in 1..=3 {
        let mut request = package(&format!("token-{n}"));
        request["ModelApprovalStatus"] = json!(if n == 2 { "Rejected" } else { "Approved" });
        create(&cloud, request).await?;
    }
    let list = |request: Value| {
        let cloud = &cloud;
        async move {
            let answer = cloud.ok("ListModelPackages", request).await?;
            let list = answer["ModelPackageSummaryList"].as_array();
            let versions = list
                .into_iter()
                .flatten()
                .filter_map(|s| s["ModelPackageVersion"].as_u64());
            anyhow::Ok((versions.collect::<Vec<_>>(), answer["NextToken"].clone()))
        }
    };
    let newest_approved = json!({
        "ModelPackageGroupName": GROUP, "ModelApprovalStatus": "Approved",
        "SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 1,
    });
    let (versions, token) = list(newest_approved.clone()).await?;
    assert_eq!(versions, [3]);
    let mut next = newest_approved;
    next["NextToken"] = token;
    assert_eq!(list(next).await?, (vec![1], Value::Null));
    assert_eq!(
        list(json!({})).await?.0,
        [0_u64; 0],
        "versions aren't listed unless asked for"
    );
    assert_eq!(
        list(json!({"ModelPackageType": "Versioned"})).await?.0,
        [1, 2, 3]
    );

    let by_short_name = json!({"ModelPackageName": format!("{GROUP}/2")});
    let described = cloud
        .ok("DescribeModelPackage", by_short_name.clone())
        .await?;
    assert_eq!(described["ModelPackageVersion"], 2);
    cloud
        .ok("DeleteModelPackage", by_short_name.clone())
        .await?;
    let refusal = cloud.refused("DescribeModelPackage", by_short_name).await?;
    let expected = format!("ModelPackage {ARN}:model-package/{GROUP}/2 does not exist.");
    assert_eq!(refusal.message, expected);
    assert!(
        create(&cloud, package("token-4")).await?.ends_with("/4"),
        "numbers aren't reused"
    );
    Ok(())
}

#[tokio::test]
async fn bad_packages_are_refused() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let mut both = package("t");
    both["ModelPackageName"] = json!("p");
    let mut status = package("t");
    status["ModelApprovalStatus"] = json!("Fine");
    let mut tagged = package("t");
    tagged["Tags"] = json!([{"Key": "a", "Value": "b"}]);
    let mut wordy = package("t");
    wordy["CustomerMetadataProperties"]["x"] = json!("y".repeat(257));
    let mut empty = package("t");
    empty["InferenceSpecification"] = Value::Null;
    let mut odd = package("t");
    odd["CustomerMetadataProperties"]["verdict"] = json!("overridden-by Ann O'Neil, ops");
    let mut broken = package("t");
    broken["ModelPackageDescription"] = json!("a strike\nin March");
    for request in [both, status, tagged, wordy, empty, odd, broken] {
        let refusal = cloud.refused("CreateModelPackage", request).await?;
        assert_eq!(refusal.code, "ValidationException", "{}", refusal.message);
    }
    let refusal = cloud
        .refused("UpdateModelPackage", json!({"ModelPackageArn": "x"}))
        .await?;
    assert!(
        refusal.message.ends_with("does not exist."),
        "{}",
        refusal.message
    );
    Ok(())
}

#[tokio::test]
async fn models_are_made_of_images_or_approved_packages() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.serving_image("server", "good")?;
    cloud.model("model-1", "server", "m1").await?;
    let again = json!({
        "ModelName": "model-1", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "server"},
    });
    let refusal = cloud.refused("CreateModel", again.clone()).await?;
    let arn = format!("{ARN}:model/model-1");
    assert_eq!(refusal.code, "ValidationException");
    assert_eq!(
        refusal.message,
        format!("Cannot create already existing model \"{arn}\".")
    );

    let mut unknown_image = again.clone();
    unknown_image["ModelName"] = json!("model-2");
    unknown_image["PrimaryContainer"]["Image"] = json!("nowhere");
    let refusal = cloud.refused("CreateModel", unknown_image).await?;
    assert_eq!(refusal.message, "Requested image nowhere not found.");
    let mut no_data = again;
    no_data["ModelName"] = json!("model-2");
    no_data["PrimaryContainer"]["ModelDataUrl"] = json!("s3://data/none.tar.gz");
    let refusal = cloud.refused("CreateModel", no_data).await?;
    assert_eq!(
        refusal.message,
        "Could not find model data at s3://data/none.tar.gz."
    );

    let package = create(&cloud, package("t")).await?;
    let from_package = json!({
        "ModelName": "model-2", "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"ModelPackageName": package},
    });
    let refusal = cloud.refused("CreateModel", from_package.clone()).await?;
    assert!(
        refusal.message.contains("PendingManualApproval"),
        "{}",
        refusal.message
    );
    let approve = json!({"ModelPackageArn": package, "ModelApprovalStatus": "Approved"});
    cloud.ok("UpdateModelPackage", approve).await?;
    cloud.ok("CreateModel", from_package).await?;
    let described = cloud
        .ok("DescribeModel", json!({"ModelName": "model-2"}))
        .await?;
    assert_eq!(described["PrimaryContainer"]["ModelPackageName"], package);

    let listed = cloud
        .ok(
            "ListModels",
            json!({"SortBy": "Name", "SortOrder": "Ascending"}),
        )
        .await?;
    assert_eq!(listed["Models"].as_array().map(Vec::len), Some(2));
    cloud
        .ok("DeleteModel", json!({"ModelName": "model-1"}))
        .await?;
    for operation in ["DescribeModel", "DeleteModel"] {
        let refusal = cloud
            .refused(operation, json!({"ModelName": "model-1"}))
            .await?;
        assert_eq!(refusal.message, format!("Could not find model \"{arn}\"."));
    }
    Ok(())
}

#[tokio::test]
async fn tags_come_and_go() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let arn = format!("{ARN}:model-package-group/{GROUP}");
    let tags = json!([{"Key": "Environment", "Value": "dev"}, {"Key": "Project", "Value": "R"}]);
    let added = cloud
        .ok("AddTags", json!({"ResourceArn": arn, "Tags": tags}))
        .await?;
    assert_eq!(added["Tags"], tags);
    cloud
        .ok(
            "DeleteTags",
            json!({"ResourceArn": arn, "TagKeys": ["Project"]}),
        )
        .await?;
    let listed = cloud.ok("ListTags", json!({"ResourceArn": arn})).await?;
    assert_eq!(
        listed["Tags"],
        json!([{"Key": "Environment", "Value": "dev"}])
    );
    let unknown = json!({"ResourceArn": format!("{ARN}:endpoint/none")});
    let refusal = cloud.refused("ListTags", unknown).await?;
    assert_eq!(refusal.message, "Resource does not exist.");
    Ok(())
}

//! Transform jobs.

use serde_json::{Value, json};

use crate::support::{ARN, Cloud};

const EVENT: &str = "SageMaker Transform Job State Change";

fn request(name: &str, model: &str) -> Value {
    json!({
        "TransformJobName": name,
        "ModelName": model,
        "MaxPayloadInMB": 1,
        "MaxConcurrentTransforms": 4,
        "BatchStrategy": "MultiRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/rows/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": "s3://data/scores/1", "AssembleWith": "Line", "Accept": "text/csv",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "Environment": {"OURS": "yes"},
    })
}

async fn ended(cloud: &Cloud, name: &str) -> anyhow::Result<Value> {
    let request = json!({"TransformJobName": name});
    cloud
        .until("DescribeTransformJob", request, |job| {
            job.get("TransformEndTime").is_some()
        })
        .await
}

async fn cloud(mode: &str) -> anyhow::Result<Cloud> {
    let cloud = Cloud::start().await?;
    cloud.serving_image("server", mode)?;
    cloud.model("model-1", "server", "m1").await?;
    cloud.store.write("data", "rows/part.csv", "1,a\n2,b\n")?;
    Ok(cloud)
}

#[tokio::test]
async fn every_row_gets_its_answer_in_order() -> anyhow::Result<()> {
    let cloud = cloud("good").await?;
    // About 3 MB, so that several mini-batches are under way at once.
    let rows: Vec<String> = (0..150_000)
        .map(|n| format!("{n},store,item,2023"))
        .collect();
    cloud
        .store
        .write("data", "rows/deep/big.csv", rows.join("\n"))?;
    let answer = cloud
        .ok("CreateTransformJob", request("t-1", "model-1"))
        .await?;
    assert_eq!(
        answer["TransformJobArn"],
        format!("{ARN}:transform-job/t-1")
    );
    let job = ended(&cloud, "t-1").await?;
    assert_eq!(
        job["TransformJobStatus"],
        "Completed",
        "{job:#} {}",
        cloud.log("transform-t-1")
    );
    assert_eq!(job["TransformInput"]["SplitType"], "Line");
    assert!(job["TransformStartTime"].is_f64());

    let small = cloud.store.text("data", "scores/1/part.csv.out")?;
    assert_eq!(small, "1,a,m1\n2,b,m1\n");
    let big = cloud.store.text("data", "scores/1/deep/big.csv.out")?;
    assert!(big.ends_with('\n'));
    let expected: Vec<String> = rows.iter().map(|row| format!("{row},m1")).collect();
    assert_eq!(big.lines().collect::<Vec<_>>(), expected);

    let log = cloud.log("transform-t-1");
    assert!(
        log.contains("serving m1") && log.contains("batch: Ok(\"true\")"),
        "{log}"
    );
    assert_eq!(
        std::fs::read_dir(cloud.state().join("work"))?.count(),
        0,
        "work is cleared"
    );
    let details = cloud.events.wait(EVENT, 2).await?;
    let last = details
        .iter()
        .find(|d| d["TransformJobStatus"] == "Completed")
        .expect("told");
    assert_eq!(last["ModelName"], "model-1");
    assert!(
        last["TransformEndTime"]
            .as_str()
            .is_some_and(|t| t.ends_with('Z'))
    );
    Ok(())
}

#[tokio::test]
async fn records_can_go_one_by_one_and_whole() -> anyhow::Result<()> {
    let cloud = cloud("good").await?;
    let mut single = request("single", "model-1");
    single["BatchStrategy"] = json!("SingleRecord");
    cloud.ok("CreateTransformJob", single).await?;
    ended(&cloud, "single").await?;
    assert_eq!(
        cloud.store.text("data", "scores/1/part.csv.out")?,
        "1,a,m1\n2,b,m1\n"
    );

    let mut whole = request("whole", "model-1");
    whole["TransformInput"]["SplitType"] = json!("None");
    whole["TransformOutput"] = json!({"S3OutputPath": "s3://data/scores/2"});
    whole["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] =
        json!("s3://data/rows/part.csv");
    cloud.ok("CreateTransformJob", whole).await?;
    ended(&cloud, "whole").await?;
    assert_eq!(
        cloud.store.text("data", "scores/2/part.csv.out")?,
        "1,a,m1\n2,b,m1"
    );
    Ok(())
}

#[tokio::test]
async fn failures_say_whose_fault_and_leave_no_output() -> anyhow::Result<()> {
    for (mode, reason, logged) in [
        (
            "refuses",
            "ClientError: See job logs for more information",
            "400: no such feature",
        ),
        (
            "broken",
            "AlgorithmError: See job logs for more information",
            "500: lost my mind",
        ),
        (
            "dies",
            "AlgorithmError: See job logs for more information",
            "part.csv",
        ),
    ] {
        let cloud = cloud(mode).await?;
        cloud
            .ok("CreateTransformJob", request("t-1", "model-1"))
            .await?;
        let job = ended(&cloud, "t-1").await?;
        assert_eq!(job["TransformJobStatus"], "Failed", "{mode}");
        assert_eq!(job["FailureReason"], reason, "{mode}");
        let log = cloud.log("transform-t-1");
        assert!(mode == "dies" || log.contains(logged), "{mode}: {log}");
        assert!(cloud.store.read("data", "scores/1/part.csv.out").is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_passing_fault_is_tried_again() -> anyhow::Result<()> {
    let cloud = cloud("stumbles").await?;
    cloud
        .ok("CreateTransformJob", request("t-1", "model-1"))
        .await?;
    assert_eq!(
        ended(&cloud, "t-1").await?["TransformJobStatus"],
        "Completed"
    );
    Ok(())
}

#[tokio::test]
async fn a_container_that_ends_and_missing_rows_fail_the_job() -> anyhow::Result<()> {
    let cloud = cloud("good").await?;
    cloud.broken_image("breaks", "echo cannot load; exit 4")?;
    cloud.model("broken", "breaks", "m").await?;
    cloud
        .ok("CreateTransformJob", request("t-1", "broken"))
        .await?;
    let job = ended(&cloud, "t-1").await?;
    assert_eq!(
        job["FailureReason"],
        "AlgorithmError: the program ended, exit code: 4"
    );
    assert!(cloud.log("transform-t-1").contains("cannot load"));

    let mut none = request("t-2", "model-1");
    none["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = json!("s3://data/nothing/");
    cloud.ok("CreateTransformJob", none).await?;
    let reason = ended(&cloud, "t-2").await?["FailureReason"].clone();
    assert_eq!(
        reason,
        "ClientError: No S3 objects found under S3 URL \"s3://data/nothing/\""
    );
    Ok(())
}

#[tokio::test]
async fn a_running_transform_can_be_stopped() -> anyhow::Result<()> {
    let cloud = cloud("slow").await?;
    let mut slow = request("t-1", "model-1");
    slow["BatchStrategy"] = json!("SingleRecord");
    slow["MaxConcurrentTransforms"] = json!(1);
    cloud.ok("CreateTransformJob", slow).await?;
    let started = |job: &Value| job.get("TransformStartTime").is_some();
    let describe = json!({"TransformJobName": "t-1"});
    cloud
        .until("DescribeTransformJob", describe.clone(), started)
        .await?;
    cloud.ok("StopTransformJob", describe.clone()).await?;
    assert_eq!(ended(&cloud, "t-1").await?["TransformJobStatus"], "Stopped");
    assert!(cloud.store.read("data", "scores/1/part.csv.out").is_err());
    let refusal = cloud.refused("StopTransformJob", describe).await?;
    assert!(
        refusal
            .message
            .ends_with("the transform job is in status Stopped.")
    );
    Ok(())
}

#[tokio::test]
async fn what_cannot_run_is_refused() -> anyhow::Result<()> {
    let cloud = cloud("good").await?;
    let refusal = cloud
        .refused("CreateTransformJob", request("t-1", "unknown"))
        .await?;
    assert_eq!(
        refusal.message,
        format!("Could not find model \"{ARN}:model/unknown\".")
    );

    let mut filtered = request("t-1", "model-1");
    filtered["DataProcessing"] = json!({"InputFilter": "$[1:]"});
    let refusal = cloud.refused("CreateTransformJob", filtered).await?;
    assert_eq!(refusal.code, "ValidationException");
    assert!(
        refusal.message.contains("DataProcessing.InputFilter"),
        "{}",
        refusal.message
    );

    let mut heavy = request("t-1", "model-1");
    heavy["MaxPayloadInMB"] = json!(50);
    assert!(
        cloud
            .refused("CreateTransformJob", heavy)
            .await?
            .message
            .contains("100 MB")
    );

    cloud
        .ok("CreateTransformJob", request("t-1", "model-1"))
        .await?;
    ended(&cloud, "t-1").await?;
    let refusal = cloud
        .refused("CreateTransformJob", request("t-1", "model-1"))
        .await?;
    assert_eq!(refusal.code, "ResourceInUse");
    let listed = cloud
        .ok("ListTransformJobs", json!({"StatusEquals": "Completed"}))
        .await?;
    assert_eq!(
        listed["TransformJobSummaries"][0]["TransformJobName"],
        "t-1"
    );
    let refusal = cloud
        .refused("DescribeTransformJob", json!({"TransformJobName": "no"}))
        .await?;
    assert_eq!(
        refusal.message,
        "Could not find requested job with name: no"
    );
    Ok(())
}

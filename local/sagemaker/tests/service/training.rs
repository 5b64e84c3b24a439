//! Training jobs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{ARN, Cloud, PATIENCE, ROLE};

const KEY: &str = "arn:aws:kms:ap-southeast-1:000000000000:key/data";
const EVENT: &str = "SageMaker Training Job State Change";

pub(crate) fn request(name: &str, image: &str) -> Value {
    let channel = |name: &str| {
        json!({
            "ChannelName": name,
            "ContentType": "text/csv",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": format!("s3://data/sets/1/{name}/"),
                "S3DataDistributionType": "FullyReplicated",
            }},
        })
    };
    json!({
        "TrainingJobName": name,
        "HyperParameters": {"n_estimators": "200"},
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [channel("train"), channel("validation")],
        "OutputDataConfig": {"S3OutputPath": "s3://data/models/", "KmsKeyId": KEY},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "Environment": {"OURS": "yes"},
        "Tags": [{"Key": "Project", "Value": "RetailForecast"}],
    })
}

pub(crate) async fn cloud() -> anyhow::Result<Cloud> {
    let cloud = Cloud::start().await?;
    cloud
        .store
        .write("data", "sets/1/train/a/sales.csv", "1,2\n")?;
    cloud
        .store
        .write("data", "sets/1/validation/sales.csv", "3,4\n")?;
    Ok(cloud)
}

async fn ended(cloud: &Cloud, name: &str) -> anyhow::Result<Value> {
    let request = json!({"TrainingJobName": name});
    cloud
        .until("DescribeTrainingJob", request, |job| {
            job.get("TrainingEndTime").is_some()
        })
        .await
}

async fn running(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let request = json!({"TrainingJobName": name});
    let trains = |job: &Value| job["SecondaryStatus"] == "Training";
    cloud.until("DescribeTrainingJob", request, trains).await?;
    // The program has to be up as well, not only on its way.
    let start = Instant::now();
    while !cloud.log(&format!("training-{name}")).contains("up") {
        anyhow::ensure!(start.elapsed() < PATIENCE, "{name} isn't up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_job_trains_and_leaves_its_model() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image(
        "trainer",
        "cat $ML_ROOT/input/data/train/a/sales.csv $ML_ROOT/input/data/validation/sales.csv \
           $ML_ROOT/input/config/hyperparameters.json > $ML_ROOT/model/model.txt\n\
         cat $ML_ROOT/input/config/inputdataconfig.json $ML_ROOT/input/config/resourceconfig.json\n\
         echo report > $ML_ROOT/output/data/report.txt\n\
         env",
    )?;
    let answer = cloud
        .ok("CreateTrainingJob", request("job-1", "trainer"))
        .await?;
    assert_eq!(
        answer["TrainingJobArn"],
        format!("{ARN}:training-job/job-1")
    );

    let job = ended(&cloud, "job-1").await?;
    assert_eq!(job["TrainingJobStatus"], "Completed", "{job:#}");
    assert_eq!(job["SecondaryStatus"], "Completed");
    assert_eq!(
        job["ModelArtifacts"]["S3ModelArtifacts"],
        "s3://data/models/job-1/output/model.tar.gz"
    );
    assert_eq!(job["HyperParameters"], json!({"n_estimators": "200"}));
    assert!(job["CreationTime"].is_f64() && job.get("FailureReason").is_none());
    let passed: Vec<&str> = job["SecondaryStatusTransitions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|transition| transition["Status"].as_str())
        .collect();
    assert_eq!(
        passed,
        [
            "Starting",
            "Downloading",
            "Training",
            "Uploading",
            "Completed"
        ]
    );

    let archive = cloud
        .store
        .read("data", "models/job-1/output/model.tar.gz")?;
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(archive.as_slice()));
    let mut model = String::new();
    let mut file = tar.entries()?.next().expect("an entry")?;
    std::io::Read::read_to_string(&mut file, &mut model)?;
    assert_eq!(model, "1,2\n3,4\n{\"n_estimators\":\"200\"}");
    assert!(
        cloud
            .store
            .read("data", "models/job-1/output/output.tar.gz")
            .is_ok()
    );

    let log = cloud.log("training-job-1");
    assert!(
        log.contains("\"ContentType\":\"text/csv\"") && log.contains("\"current_host\":\"algo-1\"")
    );
    assert!(
        log.contains("OURS=yes") && log.contains("TRAINING_JOB_NAME=job-1"),
        "{log}"
    );
    assert!(!log.contains("CARGO"), "the environment leaks: {log}");
    assert_eq!(
        std::fs::read_dir(cloud.state().join("work"))?.count(),
        0,
        "work is cleared"
    );
    Ok(())
}

#[tokio::test]
async fn every_status_is_told_in_a_full_envelope() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.events.fail_next(2);
    cloud.training_image("trainer", "echo x > $ML_ROOT/model/model.txt")?;
    cloud
        .ok("CreateTrainingJob", request("job-1", "trainer"))
        .await?;
    let mut details = cloud.events.wait(EVENT, 5).await?;
    details.sort_by_key(|d| d["SecondaryStatusTransitions"].as_array().map(Vec::len));
    let statuses: Vec<String> = details
        .iter()
        .map(|d| format!("{} {}", d["TrainingJobStatus"], d["SecondaryStatus"]).replace('"', ""))
        .collect();
    assert_eq!(
        statuses,
        [
            "InProgress Starting",
            "InProgress Downloading",
            "InProgress Training",
            "InProgress Uploading",
            "Completed Completed"
        ]
    );
    let last = &details[4];
    assert_eq!(last["OutputDataConfig"]["KmsKeyId"], KEY);
    assert_eq!(last["Tags"], json!({"Project": "RetailForecast"}));
    assert_eq!(
        last["ModelArtifacts"]["S3ModelArtifacts"],
        "s3://data/models/job-1/output/model.tar.gz"
    );
    for time in [
        "CreationTime",
        "TrainingStartTime",
        "TrainingEndTime",
        "LastModifiedTime",
    ] {
        let text = last[time].as_str().expect("times are texts");
        assert!(
            text.len() == 13 && text.parse::<u64>().is_ok(),
            "{time} {text}"
        );
    }
    let envelope = &cloud.events.envelopes(EVENT)[0];
    assert_eq!(envelope["source"], "aws.sagemaker");
    assert_eq!(envelope["version"], "0");
    assert_eq!(envelope["account"], "000000000000");
    assert_eq!(envelope["region"], "ap-southeast-1");
    assert_eq!(
        envelope["resources"],
        json!([format!("{ARN}:training-job/job-1")])
    );
    assert_eq!(envelope["id"].as_str().map(str::len), Some(36));
    assert!(
        envelope["time"]
            .as_str()
            .is_some_and(|t| t.ends_with('Z') && t.len() == 20)
    );
    Ok(())
}

#[tokio::test]
async fn a_failure_keeps_the_programs_own_words() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image(
        "says",
        "echo 'too few rows' > $ML_ROOT/output/failure; exit 3",
    )?;
    cloud.training_image("mute", "exit 1")?;
    cloud.training_image("killed", "kill -9 $$")?;
    cloud.training_image(
        "wordy",
        "head -c 5000 /dev/zero | tr '\\0' x > $ML_ROOT/output/failure; exit 2",
    )?;
    for (name, reason) in [
        ("says", "AlgorithmError: too few rows, exit code: 3"),
        ("mute", "AlgorithmError: , exit code: 1"),
        ("killed", "AlgorithmError: , exit code: 137"),
    ] {
        cloud.ok("CreateTrainingJob", request(name, name)).await?;
        let job = ended(&cloud, name).await?;
        assert_eq!(job["TrainingJobStatus"], "Failed");
        assert_eq!(job["FailureReason"], reason);
        assert!(job.get("ModelArtifacts").is_none());
    }
    cloud
        .ok("CreateTrainingJob", request("wordy", "wordy"))
        .await?;
    let reason = ended(&cloud, "wordy").await?["FailureReason"].clone();
    let reason = reason.as_str().unwrap_or_default();
    assert!(
        reason.len() <= 1024 && reason.ends_with("exit code: 2"),
        "{reason}"
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_image_fails_the_job_and_missing_data_the_call() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud
        .ok("CreateTrainingJob", request("no-image", "nowhere"))
        .await?;
    let job = ended(&cloud, "no-image").await?;
    let reason = job["FailureReason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("ClientError: Cannot pull algorithm container."),
        "{reason}"
    );

    let mut no_data = request("no-data", "nowhere");
    no_data["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"] = json!("s3://data/none/");
    let refusal = cloud.refused("CreateTrainingJob", no_data).await?;
    assert_eq!(refusal.code, "ValidationException");
    assert!(
        refusal
            .message
            .starts_with("No S3 objects found under S3 URL \"s3://data/none/\"")
    );
    Ok(())
}

#[tokio::test]
async fn a_job_out_of_time_is_stopped_with_what_it_saved() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image("slow", "echo half > $ML_ROOT/model/model.txt; sleep 60")?;
    // On a busy machine the program may not come to its first line within a second.
    for limit_s in [1, 5, 25] {
        let name = format!("slow-{limit_s}");
        let mut slow = request(&name, "slow");
        slow["StoppingCondition"]["MaxRuntimeInSeconds"] = json!(limit_s);
        cloud.ok("CreateTrainingJob", slow).await?;
        let job = ended(&cloud, &name).await?;
        assert_eq!(job["TrainingJobStatus"], "Stopped");
        assert_eq!(job["SecondaryStatus"], "MaxRuntimeExceeded");
        assert!(job.get("FailureReason").is_none());
        let saved = format!("models/{name}/output/model.tar.gz");
        if cloud.store.read("data", &saved).is_ok() {
            return Ok(());
        }
    }
    anyhow::bail!("what it saved is lost")
}

#[tokio::test]
async fn a_stopped_job_ends_with_everything_it_started() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image(
        "slow",
        "sleep 61 & echo $! > $ML_ROOT/../../child; echo up; wait",
    )?;
    cloud
        .ok("CreateTrainingJob", request("slow", "slow"))
        .await?;
    running(&cloud, "slow").await?;
    let child = std::fs::read_to_string(cloud.state().join("child"))?;
    let child = format!("/proc/{}/cmdline", child.trim());
    // A moment after its start it's still a copy of the shell.
    until(&child, |told| told.contains("sleep")).await?;

    cloud
        .ok("StopTrainingJob", json!({"TrainingJobName": "slow"}))
        .await?;
    let job = ended(&cloud, "slow").await?;
    assert_eq!(job["TrainingJobStatus"], "Stopped");
    assert_eq!(job["SecondaryStatus"], "Stopped");
    gone(&child).await?;
    let told = cloud.events.wait(EVENT, 5).await?;
    assert!(told.iter().any(|d| d["TrainingJobStatus"] == "Stopping"));

    let refusal = cloud
        .refused("StopTrainingJob", json!({"TrainingJobName": "slow"}))
        .await?;
    assert_eq!(
        refusal.message,
        "The request was rejected because the training job is in status Stopped."
    );
    Ok(())
}

/// Waits until a process is gone, or is only waiting to be reaped by whoever inherited it.
async fn gone(cmdline: &str) -> anyhow::Result<()> {
    until(cmdline, str::is_empty).await
}

/// Waits until a process's command line, empty when there is none, is what `wanted` says.
async fn until(cmdline: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    while !wanted(&std::fs::read_to_string(cmdline).unwrap_or_default()) {
        anyhow::ensure!(
            start.elapsed() < PATIENCE,
            "{cmdline} isn't as it should be"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_outlives_the_service() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image("slow", "echo $$ > $ML_ROOT/../../leader; echo up; sleep 62")?;
    cloud
        .ok("CreateTrainingJob", request("slow", "slow"))
        .await?;
    running(&cloud, "slow").await?;
    let state = cloud.state();
    let leader = std::fs::read_to_string(state.join("leader"))?;
    let _folder = cloud.stop().await?;
    gone(&format!("/proc/{}/cmdline", leader.trim())).await?;
    assert_eq!(
        std::fs::read_dir(state.join("work"))?.count(),
        0,
        "work is cleared"
    );
    Ok(())
}

#[tokio::test]
async fn a_name_is_used_once_even_after_the_job_ended() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image("trainer", "exit 0")?;
    cloud
        .ok("CreateTrainingJob", request("job-1", "trainer"))
        .await?;
    ended(&cloud, "job-1").await?;
    let refusal = cloud
        .refused("CreateTrainingJob", request("job-1", "trainer"))
        .await?;
    assert_eq!(
        (refusal.status, refusal.code.as_str()),
        (400, "ResourceInUse")
    );
    assert_eq!(
        refusal.message,
        format!(
            "Training job names must be unique within an AWS account and region, and a training job \
             with this name already exists ({ARN}:training-job/job-1)"
        )
    );
    Ok(())
}

#[tokio::test]
async fn a_job_that_does_nothing_is_over_at_once() -> anyhow::Result<()> {
    const QUICK: Duration = Duration::from_millis(500);
    let cloud = cloud().await?;
    cloud.training_image("noop", "exit 0")?;
    // Until one is quick: a busy machine slows some, a fixed wait all of them.
    let mut quickest = Duration::MAX;
    for n in 0..100 {
        let name = format!("noop-{n}");
        let start = Instant::now();
        cloud
            .ok("CreateTrainingJob", request(&name, "noop"))
            .await?;
        let job = ended(&cloud, &name).await?;
        quickest = quickest.min(start.elapsed());
        assert_eq!(job["TrainingJobStatus"], "Completed");
        assert!(
            job.get("ModelArtifacts").is_none(),
            "an empty model folder is no artifact"
        );
        if quickest < QUICK {
            break;
        }
    }
    assert!(quickest < QUICK, "{quickest:?}");
    Ok(())
}

#[tokio::test]
async fn lists_are_paged_and_filtered() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    cloud.training_image("fine", "exit 0")?;
    cloud.training_image("bad", "exit 1")?;
    for (name, image) in [("a-1", "fine"), ("a-2", "bad"), ("b-1", "fine")] {
        cloud.ok("CreateTrainingJob", request(name, image)).await?;
        ended(&cloud, name).await?;
    }
    let names = |answer: &Value| -> Vec<String> {
        let list = answer["TrainingJobSummaries"].as_array();
        let names = list
            .into_iter()
            .flatten()
            .filter_map(|s| s["TrainingJobName"].as_str());
        names.map(str::to_owned).collect()
    };
    let first = cloud
        .ok("ListTrainingJobs", json!({"MaxResults": 2}))
        .await?;
    assert_eq!(names(&first), ["a-1", "a-2"]);
    let request = json!({"MaxResults": 2, "NextToken": first["NextToken"]});
    let second = cloud.ok("ListTrainingJobs", request).await?;
    assert_eq!(names(&second), ["b-1"]);
    assert!(second.get("NextToken").is_none());
    let request = json!({"StatusEquals": "Completed", "SortBy": "Name", "SortOrder": "Descending"});
    assert_eq!(
        names(&cloud.ok("ListTrainingJobs", request).await?),
        ["b-1", "a-1"]
    );
    let request = json!({"NameContains": "a-"});
    assert_eq!(
        names(&cloud.ok("ListTrainingJobs", request).await?),
        ["a-1", "a-2"]
    );
    let refusal = cloud
        .refused("ListTrainingJobs", json!({"MaxResults": 101}))
        .await?;
    assert_eq!(refusal.code, "ValidationException");
    Ok(())
}

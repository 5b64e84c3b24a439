//! The cloud as a whole, with the real emulator and a function of our own. Without the emulator
//! (`make` installs it, or `MINISTACK` names it) these tests fail and say what to do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers fail by panicking"
)]

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use local_cloud::{Cloud, Findings};
use local_wire::ImageSpec;
use serde_json::{Value, json};

use support::{Project, WAIT, is_emulator_installed};

async fn start(project: &Project) -> Cloud {
    Cloud::start(project.options.clone()).await.unwrap()
}

/// What the function noted under `key`, once it did.
async fn note(cloud: &Cloud, key: &str) -> Value {
    let bucket = cloud.place().artifacts_bucket();
    let began = Instant::now();
    while began.elapsed() < WAIT {
        if let Some(body) = cloud.object(&bucket, key).await.unwrap() {
            return serde_json::from_slice(&body).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{key} wasn't noted; log: {:#?}", cloud.logs("probe").await);
}

async fn logged(cloud: &Cloud, text: &str) -> usize {
    let began = Instant::now();
    while began.elapsed() < WAIT {
        let logs = cloud.logs("probe").await.unwrap();
        let times = logs.iter().filter(|line| line.contains(text)).count();
        if times > 0 {
            return times;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{text} wasn't logged");
}

async fn ask(cloud: &Cloud, detail: Value) -> Value {
    let key = detail["note"].as_str().unwrap().to_owned();
    let bus = cloud.place().event_bus();
    cloud
        .put_event(&bus, "retail-forecast", "Ask", &detail)
        .await
        .unwrap();
    note(cloud, &key).await
}

fn findings_call(repository: &str, digest: &str) -> Value {
    json!({
        "service": "ecr",
        "target": "AmazonEC2ContainerRegistry_V20150921.DescribeImageScanFindings",
        "body": {"repositoryName": repository, "imageId": {"imageDigest": digest}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_function_by_every_way() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    let began = Instant::now();
    let cloud = start(&project).await;
    eprintln!("started in {:?}", began.elapsed());

    // Our own events, on our bus.
    let noted = ask(&cloud, json!({"note": "notes/ours"})).await;
    let began = Instant::now();
    ask(&cloud, json!({"note": "notes/again"})).await;
    eprintln!("event, queue, warm function, object: {:?}", began.elapsed());
    assert_eq!(noted["source"], "retail-forecast");
    // By these attributes a message that fails is given up.
    let attribute = |name: &str| {
        let text = noted["attributes"][name].as_str().unwrap();
        text.parse::<u128>().unwrap()
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age_ms = now.as_millis() - attribute("SentTimestamp");
    assert!(age_ms < WAIT.as_millis(), "sent {age_ms} ms ago");
    assert_eq!(attribute("ApproximateReceiveCount"), 1);
    let environment = noted["outcome"]["environment"].to_string();
    assert!(
        environment.contains(&cloud.addresses().ecr),
        "{environment}"
    );
    assert!(
        !environment.contains("CARGO"),
        "our environment leaked: {environment}"
    );

    // S3's events.
    cloud
        .upload("training/sales data.csv", "a,b")
        .await
        .unwrap();
    logged(&cloud, "training/sales data.csv").await;

    // An event that a service emits.
    let event = json!({"version": "0", "id": "1", "source": "aws.ecr", "account": "1",
        "detail-type": "ECR Image Action", "time": "2026-01-01T00:00:00Z", "region": "r",
        "resources": [], "detail": {"repository-name": "retail-forecast-infer", "note": "notes/ecr"}});
    cloud.deliver(event).await.unwrap();
    assert_eq!(note(&cloud, "notes/ecr").await["source"], "aws.ecr");

    // Past the queue.
    let body = json!({"detail": {"note": "notes/direct"}}).to_string();
    let record = json!({"Records": [{"messageId": "m", "body": body}]});
    let answer = cloud.send_direct("probe", &record).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));

    // People's mail.
    let topic = cloud.place().alerts_topic_arn();
    let params = [
        ("TopicArn", topic.as_str()),
        ("Subject", "S"),
        ("Message", "M"),
    ];
    cloud
        .wire()
        .query("sns", "2010-03-31", "Publish", &params)
        .await
        .unwrap();
    let alerts = cloud.inbox().await.unwrap();
    assert_eq!(
        (alerts[0].subject.as_str(), alerts[0].message.as_str()),
        ("S", "M")
    );
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_announced_scanned_and_guarded() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    let cloud = start(&project).await;
    let spec = ImageSpec {
        train: None,
        serve: Some(project.options.bin_dir.join("probe")),
        environment: [("A".to_owned(), "b".to_owned())].into(),
    };
    let found = Findings::from([("HIGH".to_owned(), 2)]);
    let tags = ["build-1", "latest-dev"];
    let digest = cloud
        .push_image("retail-forecast-infer", &tags, &spec, &found)
        .await
        .unwrap();
    logged(&cloud, "PUSH").await;
    logged(&cloud, "finding-severity-counts").await;

    // The function may read these findings and no others.
    let call = findings_call("retail-forecast-infer", &digest);
    let noted = ask(&cloud, json!({"note": "notes/findings", "call": call})).await;
    let answer = &noted["outcome"]["answer"];
    assert_eq!(answer["imageScanStatus"]["status"], "COMPLETE", "{noted}");
    assert_eq!(
        answer["imageScanFindings"]["findingSeverityCounts"],
        json!({"HIGH": 2})
    );
    let call = findings_call("retail-forecast-train", &digest);
    let noted = ask(&cloud, json!({"note": "notes/refused", "call": call})).await;
    let error = noted["outcome"]["error"].as_str().unwrap();
    assert_eq!(noted["outcome"]["code"], "AccessDeniedException");
    assert!(
        error.contains("assumed-role/retail-forecast-dev-probe"),
        "{error}"
    );

    // A build's tag stays; `latest-*` moves.
    let other = ImageSpec {
        environment: [].into(),
        ..spec
    };
    let moved = cloud
        .push_image("retail-forecast-infer", &["build-1"], &other, &found)
        .await;
    let error = moved.unwrap_err().to_string();
    assert!(error.contains("ImageTagAlreadyExistsException"), "{error}");
    let none = Findings::new();
    let second = cloud
        .push_image("retail-forecast-infer", &["latest-dev"], &other, &none)
        .await
        .unwrap();
    assert_ne!(second, digest);
    cloud.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_comes_back_and_ends_among_the_dead_letters() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    // The shortest timeout gives the shortest visibility timeout, 6 s.
    project.write(
        "infra/functions.json",
        &json!({
            "defaults": {"memory_mb": 128, "timeout_s": 1, "batch_size": 5, "max_receive_count": 1,
                "concurrency": 5, "environment": {"ARTIFACTS_BUCKET": "${artifacts_bucket}"}},
            "functions": {"probe": {}, "idle": {}},
        }),
    );
    let cloud = start(&project).await;
    let message = json!({"detail": {"fail": true}});
    let body = message.to_string();
    // On a busy machine a second may pass before the function says a word: then another message is sent.
    for sent in 1..=10 {
        cloud.enqueue("probe", &message).await.unwrap();
        let began = Instant::now();
        while cloud.depths("probe").await.unwrap().dead < sent {
            assert!(began.elapsed() < WAIT, "no dead letter");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let letters = cloud.dead_letters("probe").await.unwrap();
        assert!(letters.iter().all(|letter| *letter == body), "{letters:?}");
        let logs = cloud.logs("probe").await.unwrap();
        if logs.iter().any(|line| line.contains("\"fail\":true")) {
            cloud.stop().await;
            return;
        }
    }
    panic!("the function never had the message");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_would_refuse_is_not_deployed() {
    if !is_emulator_installed() {
        return;
    }
    let project = Project::new();
    project.write(
        "infra/policies/probe.json",
        &json!({"Statement": [
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}),
    );
    let error = Cloud::start(project.options.clone())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("probe: its policy allows s3:*"), "{error}");
    assert!(error.contains("may not sqs:ReceiveMessage"), "{error}");
}

//! S3, SQS, EventBridge and SNS against a local AWS: that requests, signatures, checksums and error
//! codes are those a server takes and gives. Runs where `MINISTACK` names the executable.
#![allow(clippy::unwrap_used)] // helpers of a test are tests, too
#![cfg(all(
    feature = "s3",
    feature = "sqs",
    feature = "eventbridge",
    feature = "sns"
))]

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws::{Context, EventBridge, S3, Sns, Sqs};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use aws_types::{SdkConfig, region::Region};
use domain::{
    layout::Location,
    ports::{
        Announcement, Bus as _, Condition, Notice, ObjectStore as _, Queue as _, Swap, Topic as _,
    },
    settings::Settings,
};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

const REGION: &str = "ap-southeast-1";
/// The longest that SQS lets a call wait, seconds.
const LONG_S: i32 = 20;

/// The server and its folder; both go with the value.
struct Ministack {
    server: Child,
    folder: PathBuf,
    url: String,
    /// Doesn't listen: it only keeps the port from everyone but the server, who is told its number.
    _reserved: TcpSocket,
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // Nothing can be done about a server that is gone or a folder that stays.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Ministack {
    fn start(executable: &str) -> Self {
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = reserved.local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let folder = std::env::temp_dir().join(format!("aws-ministack-{port}"));
        let within = |name: &str| {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let server = Command::new(executable)
            // A clean environment: the server takes settings from it.
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("AWS_ENDPOINT_URL", &url)
            .env("TMPDIR", within("tmp"))
            .env("HOME", within("home"))
            .env("STATE_DIR", within("state"))
            .env("S3_DATA_DIR", within("s3"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ministack = Self {
            server,
            folder,
            url,
            _reserved: reserved,
        };
        let started = Instant::now();
        while !healthy(port) {
            assert!(
                started.elapsed() < Duration::from_mins(2),
                "{executable} doesn't answer"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        ministack
    }

    fn context(&self) -> Context {
        let variables = [
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", &self.url),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Context::new(&Settings::new(variables)).unwrap()
    }

    /// For what only a test does: making buckets, queues, rules and subscriptions.
    fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::v2026_01_12())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&self.url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    }

    fn folder(&self) -> &PathBuf {
        &self.folder
    }
}

fn healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.0\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(String::from_utf8_lossy(&head).into_owned())
    };
    ask().is_ok_and(|head| head.ends_with("200"))
}

async fn store(ministack: &Ministack) {
    let s3 = S3::new(&ministack.context());
    let admin = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&ministack.config())
            .force_path_style(true)
            .build(),
    );
    let here = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(REGION.into())
        .build();
    let bucket = admin.create_bucket().bucket("artifacts");
    let bucket = bucket.create_bucket_configuration(here);
    bucket.send().await.unwrap();
    let at = Location::new("artifacts", "environments/dev/pointer.json");

    assert_eq!(s3.get(&at).await.unwrap(), None);
    assert!(s3.get(&Location::new("nosuch-bucket", "k")).await.is_err());
    let first = s3.swap(&at, b"1".to_vec(), Condition::Absent).await;
    assert_eq!(first.unwrap(), Swap::Done);
    let late = s3.swap(&at, b"2".to_vec(), Condition::Absent).await;
    assert_eq!(late.unwrap(), Swap::Lost);
    let object = s3.get(&at).await.unwrap().unwrap();
    assert_eq!(object.bytes, b"1");
    let unchanged = || Condition::Unchanged(object.etag.clone());
    let second = s3.swap(&at, b"2".to_vec(), unchanged()).await;
    assert_eq!(second.unwrap(), Swap::Done);
    let stale = s3.swap(&at, b"3".to_vec(), unchanged()).await;
    assert_eq!(stale.unwrap(), Swap::Lost);

    // Larger than any buffer on the way, and not a multiple of one.
    let rows: Vec<u8> = (0..5_000_011_u32).map(|i| (i % 251) as u8).collect();
    let (from, to) = (
        ministack.folder().join("from"),
        ministack.folder().join("to"),
    );
    std::fs::write(&from, &rows).unwrap();
    let at = Location::new("artifacts", "datasets/0a/train/sales, all+more.csv");
    s3.upload(&from, &at, "text/csv").await.unwrap();
    assert_eq!(s3.download(&at, None, &to).await.unwrap(), Some(()));
    assert!(
        std::fs::read(&to).unwrap() == rows,
        "the file came back changed"
    );
    let missing = Location::new("artifacts", "datasets/none");
    assert_eq!(s3.download(&missing, None, &to).await.unwrap(), None);
    assert_eq!(s3.head(&missing, None).await.unwrap(), None);
    let head = s3.head(&at, None).await.unwrap().unwrap();
    assert_eq!((head.bytes, head.version), (5_000_011, None));
    let age = head
        .written
        .duration_until(jiff::Timestamp::now())
        .as_secs();
    assert!((0..600).contains(&age), "written {age} s ago");
    let versioned = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    let request = admin.put_bucket_versioning().bucket("artifacts");
    let request = request.versioning_configuration(versioned);
    request.send().await.unwrap();
    s3.put(&at, b"old".to_vec(), "text/csv").await.unwrap();
    let old = s3.head(&at, None).await.unwrap().unwrap();
    s3.put(&at, b"newer".to_vec(), "text/csv").await.unwrap();
    assert_eq!(s3.head(&at, None).await.unwrap().unwrap().bytes, 5);
    assert!(old.version.is_some());
    let again = s3.head(&at, old.version.as_deref()).await.unwrap();
    assert_eq!(again, Some(old));
    s3.put(&missing, b"{}".to_vec(), "application/json")
        .await
        .unwrap();
    let head = admin.head_object().bucket("artifacts").key("datasets/none");
    let head = head.send().await.unwrap();
    assert_eq!(head.content_type(), Some("application/json"));
}

async fn queue(admin: &aws_sdk_sqs::Client, name: &str) -> (String, String) {
    let made = admin.create_queue().queue_name(name).send().await.unwrap();
    let url = made.queue_url.unwrap();
    let attributes = admin
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .unwrap();
    let arn = attributes.attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
    (url, arn)
}

async fn receive(admin: &aws_sdk_sqs::Client, url: &str, seconds: i32) -> Option<Message> {
    let received = admin
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(seconds)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap();
    received.messages.unwrap_or_default().into_iter().next()
}

async fn queues(ministack: &Ministack) {
    let admin = aws_sdk_sqs::Client::new(&ministack.config());
    let (url, _) = queue(&admin, "judge-model").await;
    let (dead, _) = queue(&admin, "judge-model-dead").await;
    let sqs = Sqs::new(&ministack.context(), &url, &dead);

    let send = admin.send_message().queue_url(&url).message_body("later");
    send.send().await.unwrap();
    let message = receive(&admin, &url, LONG_S).await.unwrap();
    let receipt = message.receipt_handle.unwrap();
    sqs.delay(&receipt, Duration::from_mins(10)).await.unwrap();
    assert!(receive(&admin, &url, 0).await.is_none(), "hidden");
    sqs.delay(&receipt, Duration::from_secs(1)).await.unwrap();
    assert!(
        receive(&admin, &url, LONG_S).await.is_some(),
        "back after a second"
    );

    sqs.bury("{\"not\": \"ours\"}", "no such\nevent")
        .await
        .unwrap();
    let buried = receive(&admin, &dead, LONG_S).await.unwrap();
    assert_eq!(buried.body(), Some("{\"not\": \"ours\"}"));
    let attributes = buried.message_attributes.unwrap();
    assert_eq!(attributes["reason"].string_value(), Some("no such event"));
}

async fn events(ministack: &Ministack) {
    let config = ministack.config();
    let queues = aws_sdk_sqs::Client::new(&config);
    let (url, arn) = queue(&queues, "events").await;
    let admin = aws_sdk_eventbridge::Client::new(&config);
    let bus = "retail-forecast-dev";
    admin.create_event_bus().name(bus).send().await.unwrap();
    let rule = admin.put_rule().name("ours").event_bus_name(bus);
    let pattern = json!({"source": ["retail-forecast"]}).to_string();
    rule.event_pattern(pattern).send().await.unwrap();
    let target = aws_sdk_eventbridge::types::Target::builder()
        .id("queue")
        .arn(arn)
        .build()
        .unwrap();
    let targets = admin.put_targets().rule("ours").event_bus_name(bus);
    targets.targets(target).send().await.unwrap();

    let announcement = Announcement {
        detail_type: "ModelJudged".to_owned(),
        detail: json!({"id": "0a", "approved": true}),
    };
    EventBridge::new(&ministack.context(), bus)
        .announce(&announcement)
        .await
        .unwrap();
    let message = receive(&queues, &url, LONG_S).await.unwrap();
    let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(event["detail-type"], "ModelJudged");
    assert_eq!(event["detail"], announcement.detail);
}

async fn topics(ministack: &Ministack) {
    let config = ministack.config();
    let queues = aws_sdk_sqs::Client::new(&config);
    let (url, arn) = queue(&queues, "notices").await;
    let admin = aws_sdk_sns::Client::new(&config);
    let topic = admin.create_topic().name("retail-forecast-alerts");
    let topic = topic.send().await.unwrap().topic_arn.unwrap();
    let subscribe = admin.subscribe().topic_arn(&topic).protocol("sqs");
    subscribe.endpoint(arn).send().await.unwrap();

    let notice = Notice {
        subject: "Retail Forecast Deployment: success".to_owned(),
        body: "release-0a is live".to_owned(),
        attributes: BTreeMap::from([
            ("environment".to_owned(), "dev".to_owned()),
            ("fact".to_owned(), String::new()),
        ]),
    };
    let sns = Sns::new(&ministack.context(), topic);
    sns.publish(&notice).await.unwrap();
    let message = receive(&queues, &url, LONG_S).await.unwrap();
    let body: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(body["Subject"], notice.subject.as_str());
    assert_eq!(body["Message"], notice.body.as_str());
    assert_eq!(body["MessageAttributes"]["environment"]["Value"], "dev");
}

#[tokio::test]
async fn round_trips() {
    let Ok(executable) = std::env::var("MINISTACK") else {
        println!("skipped: MINISTACK doesn't name the executable of a local AWS");
        return;
    };
    let ministack = Ministack::start(&executable);
    store(&ministack).await;
    queues(&ministack).await;
    events(&ministack).await;
    topics(&ministack).await;
}

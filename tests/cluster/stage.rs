//! The one cloud of all stories: what is done to it, and what is seen of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use local_cloud::{Cloud, Findings, Options, Tap, real};
use local_wire::ImageSpec;
use serde_json::{Value, json};

use crate::runs::{Cluster, Release};

/// Longest wait for one event, and for all queues to be empty.
const LIMIT: Duration = Duration::from_mins(5);
/// How often an alarm invokes a function that fails: once, and two retries, as Lambda has it.
const INVOCATIONS: u32 = 3;
/// The API as it is built, and with a defect to order (`DEFECT`, `SOUND_ANSWERS`).
pub(crate) const SOUND: &str = "serve";
pub(crate) const UNSTEADY: &str = "unsteady";

/// What is set otherwise than on AWS, so that a story takes seconds: looks every second, short metrics,
/// an endpoint that bakes for one period of its alarms, and gates that let every model pass.
const SETTINGS: [(&str, &str, &str); 14] = [
    ("judge-model", "MIN_ACCURACY", "0"),
    ("judge-model", "TOLERANCE", "100"),
    ("judge-model", "BEAT_NAIVE", "false"),
    ("deploy-release", "STRATEGY", "rolling"),
    ("deploy-release", "ENDPOINT_ALARM_PERIOD_S", "10"),
    ("deploy-release", "ENDPOINT_ALARM_PERIODS", "1"),
    ("deploy-release", "ENDPOINT_BAKE_S", "11"),
    ("deploy-release", "ENDPOINT_KEEP_OLD_S", "0"),
    ("verify-release", "ENDPOINT_ALARM_PERIOD_S", "10"),
    ("verify-release", "ENDPOINT_ALARM_PERIODS", "1"),
    ("verify-release", "LOOK_AGAIN_S", "1"),
    (
        "start-training",
        "HYPERPARAMETERS",
        r#"{"n_estimators": "20", "max_depth": "6", "random_state": "42"}"#,
    ),
    ("diagnose-release", "LOOK_AGAIN_S", "1"),
    ("judge-canary", "LOOK_AGAIN_S", "1"),
];

pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) cluster: Cluster,
    tap: Tap,
    bins: PathBuf,
    /// Images pushed so far.
    builds: u32,
    /// Events before this one are of earlier steps.
    mark: usize,
}

impl Stage {
    /// Starts the cloud, before a real cluster when the environment names one, and pushes what was built.
    pub(crate) async fn start(root: &Path, state: &Path, bins: &Path) -> Self {
        let mut options = Options::new(root, state, bins);
        for (function, name, value) in SETTINGS {
            let variables = options.overrides.entry(function.to_owned()).or_default();
            variables.insert(name.to_owned(), value.to_owned());
        }
        options.cluster = real::from_environment().unwrap();
        let cloud = Cloud::start(options).await.unwrap();
        let tap = Tap::open(&cloud).await.unwrap();
        cloud.push_built_images(bins).await.unwrap();
        let cluster = Cluster::new(cloud.kubernetes().await.unwrap(), cloud.namespace());
        Self {
            cluster,
            cloud,
            tap,
            bins: bins.to_owned(),
            builds: 1,
            mark: 0,
        }
    }

    /// From here on only what is new is waited for.
    pub(crate) fn begin(&mut self) {
        self.mark = self.tap.seen.len();
    }

    /// The detail of the first event since [`Self::begin`] that is this.
    pub(crate) async fn next(
        &mut self,
        detail_type: &str,
        matches: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + LIMIT;
        let mut at = self.mark;
        loop {
            while let Some(event) = self.tap.seen.get(at) {
                at += 1;
                if event["detail-type"] == detail_type && matches(&event["detail"]) {
                    return event["detail"].clone();
                }
            }
            let came = self.tap.next(&self.cloud, deadline).await.unwrap();
            let Some(_) = came else {
                panic!("no {detail_type} within {LIMIT:?}{}", self.story().await);
            };
        }
    }

    /// Ids of the events of a type whose detail says that they are about this release.
    pub(crate) fn ids(&self, detail_type: &str, release: &str) -> BTreeSet<String> {
        let events = self.tap.seen.iter();
        let of_type = events.filter(|event| event["detail-type"] == detail_type);
        let about = |detail: &Value| {
            ["from", "release"]
                .iter()
                .any(|name| detail[name] == release)
        };
        of_type
            .map(|event| &event["detail"])
            .filter(|detail| about(detail))
            .map(|detail| detail["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until no function has anything to do; what failed for good is a failure.
    pub(crate) async fn rest(&mut self) {
        let deadline = Instant::now() + LIMIT;
        let mut quiet = 0;
        while quiet < 3 {
            quiet += 1;
            let functions: Vec<String> = self.cloud.functions().map(str::to_owned).collect();
            for function in functions {
                let depths = self.cloud.depths(&function).await.unwrap();
                if !depths.is_idle() {
                    quiet = 0;
                }
                if depths.dead > 0 || Instant::now() > deadline {
                    let story = self.story().await;
                    panic!("{function} doesn't come to rest: {depths:?}{story}");
                }
            }
            while self
                .tap
                .next(&self.cloud, Instant::now())
                .await
                .unwrap()
                .is_some()
            {}
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What was announced since [`Self::begin`], and what the functions failed at, for whoever has to find
    /// out why.
    async fn story(&self) -> String {
        let mut lines = String::new();
        for event in self.tap.seen.iter().skip(self.mark) {
            let detail = &event["detail"];
            let said =
                ["release", "from", "stage", "reason", "cause"].map(|name| detail[name].as_str());
            let said: Vec<&str> = said.into_iter().flatten().collect();
            let _ = write!(lines, "\n  {}: {}", event["detail-type"], said.join(", "));
        }
        for function in self.cloud.functions() {
            for line in self.cloud.logs(function).await.unwrap_or_default() {
                let told: Value = serde_json::from_str(&line).unwrap_or_default();
                if told["message"] == "failed" || told["message"] == "refused" {
                    let _ = write!(
                        lines,
                        "\n  {function} {}: {}",
                        told["message"], told["error"]
                    );
                }
            }
        }
        lines
    }

    /// Pushes a program, with variables of its own, as the environment's newest image; answers its digest.
    pub(crate) async fn push(&mut self, program: &str, variables: &[(&str, &str)]) -> String {
        self.builds += 1;
        // An image of its own even where the program is the same.
        let build = format!("build-{}", self.builds);
        let latest = format!("latest-{}", self.cloud.place().environment);
        let build_id = [("BUILD_ID", build.as_str())];
        let variables = variables.iter().chain(&build_id);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let spec = ImageSpec {
            train: None,
            serve: Some(self.bins.join(program)),
            environment: variables.collect::<BTreeMap<_, _>>(),
        };
        self.begin();
        let tags = [build.as_str(), latest.as_str()];
        let (repository, findings) = ("retail-forecast-infer", Findings::new());
        let pushed = self.cloud.push_image(repository, &tags, &spec, &findings);
        pushed.await.unwrap()
    }

    /// Pushes an image and waits until the release that it makes is verified.
    pub(crate) async fn deploy(&mut self, program: &str, variables: &[(&str, &str)]) -> Release {
        let digest = self.push(program, variables).await;
        let of_image = |detail: &Value| {
            detail["image"]
                .as_str()
                .is_some_and(|image| image.ends_with(&digest))
        };
        let verified = self.next("ReleaseVerified", of_image).await;
        self.settled(&verified).await
    }

    /// What is live once everybody has heard that it was verified.
    pub(crate) async fn settled(&mut self, verified: &Value) -> Release {
        self.rest().await;
        let id = verified["release"].as_str().unwrap().to_owned();
        assert_eq!(self.answers_for().await, id);
        let runs = self.cluster.look().await.runs;
        assert_eq!(runs.environment["DEPLOYMENT_ID"], id);
        assert_eq!(verified["image"], json!(runs.image));
        Release { id, runs }
    }

    /// Uploads sales to learn from.
    pub(crate) async fn upload(&mut self, csv: String) {
        self.begin();
        self.cloud
            .upload("training/sales_data.csv", csv)
            .await
            .unwrap();
    }

    /// CloudWatch's event of an alarm of this release, which speaks now.
    pub(crate) fn alarm(&self, release: &str) -> Value {
        let place = self.cloud.place();
        let now = Timestamp::now();
        let name = format!("RetailForecast-API-Error-Rate-{}", self.cloud.namespace());
        json!({
            "version": "0",
            "id": format!("alarm-{release}"),
            "source": "aws.cloudwatch",
            "detail-type": "CloudWatch Alarm State Change",
            "account": place.account,
            "region": place.region,
            // The envelope's time is cut to seconds; the state's is exact.
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "resources": [place.arn("cloudwatch", &format!("alarm:{name}"))],
            "detail": {
                "alarmName": name,
                "configuration": {"metrics": [{"metricStat": {"metric": {
                    "namespace": format!("RetailForecast/{}", self.cloud.namespace()),
                    "name": "ErrorRate",
                    "dimensions": {"DeploymentId": release},
                }}}]},
                "previousState": {"value": "OK"},
                "state": {
                    "value": "ALARM",
                    "reason": "Threshold Crossed: 3 out of the last 3 datapoints",
                    "timestamp": now.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
                },
            },
        })
    }

    /// The alarm speaks: its event comes twice, and its own action invokes the function twice, all at once.
    pub(crate) async fn speak(&mut self, alarm: &Value) {
        self.begin();
        let deliver = async || self.cloud.deliver(alarm.clone()).await.unwrap();
        let direct = json!({
            "source": "aws.cloudwatch",
            "time": alarm["detail"]["state"]["timestamp"],
            "alarmData": alarm["detail"],
        });
        let invoke = async || {
            for invocation in 1..=INVOCATIONS {
                match self.cloud.send_direct("roll-back", &direct).await {
                    Ok(_) => return,
                    // It lost the race for the pointer: Lambda invokes it again.
                    Err(error) if invocation == INVOCATIONS => panic!("{error:#}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
                }
            }
        };
        tokio::join!(deliver(), invoke(), deliver(), invoke());
    }

    /// A person asks to go away from a release.
    pub(crate) async fn ask_to_leave(&mut self, release: &str, request: &str) {
        self.ask(release, request, None).await;
    }

    /// The same; the fields of a manager are to be taken over for it.
    pub(crate) async fn ask(&mut self, release: &str, request: &str, take_over: Option<&str>) {
        self.begin();
        let detail = json!({
            "take_over": take_over,
            "release": release,
            "request": request,
            "by": "ann",
            "reason": "what held it up is gone",
        });
        let bus = self.cloud.place().event_bus();
        let put = self
            .cloud
            .put_event(&bus, "retail-forecast", "RollbackRequested", &detail);
        put.await.unwrap();
    }

    /// Waits until the good release serves again, looks at all of it, and answers how long it took from the
    /// cause to the verified service.
    pub(crate) async fn restored(&mut self, good: &Release, bad: &str) -> Duration {
        let succeeded = self
            .next("RollbackSucceeded", |detail| detail["from"] == bad)
            .await;
        let look = self.cluster.look().await;
        assert_eq!(succeeded["release"], json!(good.id));
        let seconds = succeeded["seconds"].as_i64().unwrap();
        assert!(seconds < 60, "restored after {seconds} s only");
        good.is_all_of(&look);
        self.rest().await;
        self.serves(good).await;
        let target = self.record("pointer").await["target"].clone();
        assert_eq!(target["release"], json!(good.id));
        let [spoke, judged] = ["caused_at", "judged_at"].map(|name| {
            let time: Timestamp = target[name].as_str().unwrap().parse().unwrap();
            time
        });
        judged.duration_since(spoke).unsigned_abs()
    }

    /// A release is all that runs, and is healthy.
    pub(crate) async fn serves(&self, good: &Release) {
        let look = self.cluster.look().await;
        good.is_all_of(&look);
        let pods = self.cluster.pods().await;
        assert_eq!(pods.len(), usize::try_from(look.replicas).unwrap());
        for (image, is_ready) in pods {
            assert_eq!(image, good.runs.image);
            assert!(is_ready, "a pod of {image} isn't ready");
        }
        for _ in 0..2 * look.replicas {
            assert_eq!(self.answers_for().await, good.id);
        }
    }

    /// The release that the API answers for.
    pub(crate) async fn answers_for(&self) -> String {
        let url = format!("{}/health", self.cloud.addresses().service);
        let answer = reqwest::get(&url).await.unwrap();
        let health: Value = answer.error_for_status().unwrap().json().await.unwrap();
        health["release"].as_str().unwrap().to_owned()
    }

    /// What is quarantined now.
    pub(crate) async fn quarantined(&self) -> Vec<String> {
        let list = self.record("quarantine").await;
        let entries = list["entries"].as_array().unwrap().iter();
        let held = entries.filter(|entry| entry["lifted"].is_null());
        held.map(|entry| entry["identity"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A record of the environment.
    async fn record(&self, name: &str) -> Value {
        let place = self.cloud.place();
        let key = format!("environments/{}/{name}.json", place.environment);
        let record = self.cloud.object(&place.artifacts_bucket(), &key).await;
        serde_json::from_slice(&record.unwrap().unwrap()).unwrap()
    }
}

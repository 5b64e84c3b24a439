//! The scenes: what is done to the cloud, and what has to be seen.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use local_cloud::{Cloud, Tap};
use serde_json::{Value, json};

use crate::{
    data::Uploads,
    inventory,
    screen::Screen,
    words::{self, checks, dataset, judgement, number, tail, text},
};

/// Longest wait for one stage; a training on a large file takes most of it.
/// It is more than the three minutes for which the message of an invocation that was killed stays hidden.
pub(crate) const STAGE_LIMIT: Duration = Duration::from_mins(5);
/// How long the queues must be empty to count as at rest.
const REST: Duration = Duration::from_millis(1500);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Most seconds from a cause until the good release serves.
pub(crate) const ROLLBACK_LIMIT_S: i64 = 60;

/// What a scene has seen; an error says what it should have.
pub(crate) type Seen = anyhow::Result<Vec<String>>;

/// The stage on which everything happens.
pub(crate) struct Stage<'a> {
    pub(crate) cloud: &'a Cloud,
    pub(crate) tap: &'a mut Tap,
    pub(crate) screen: &'a Screen,
    pub(crate) uploads: &'a Uploads,
    /// Where the programs of images are.
    pub(crate) bins: &'a Path,
    /// Whether the scenes are played for a proof of the policies, which has more of them.
    pub(crate) is_proving: bool,
}

/// What is waited for: a name for people, the event's detail type, and what its detail must say.
struct Wanted {
    name: &'static str,
    detail_type: &'static str,
    matches: fn(&Value) -> bool,
    told: fn(&Value) -> String,
}

/// From an upload to a judged model.
const TO_JUDGEMENT: [Wanted; 4] = [
    Wanted {
        name: "data validated",
        detail_type: "DatasetValidated",
        matches: |_| true,
        told: dataset,
    },
    Wanted {
        name: "model trained",
        detail_type: "SageMaker Training Job State Change",
        matches: |detail| detail["TrainingJobStatus"] == "Completed",
        told: |detail| text(&detail["TrainingJobName"]),
    },
    Wanted {
        name: "held-out rows predicted",
        detail_type: "SageMaker Transform Job State Change",
        matches: |detail| detail["TransformJobStatus"] == "Completed",
        told: |detail| text(&detail["TransformJobName"]),
    },
    Wanted {
        name: "model judged",
        detail_type: "ModelJudged",
        matches: |_| true,
        told: judgement,
    },
];

/// From a judged model to a verified release.
const TO_RELEASE: [Wanted; 3] = [
    Wanted {
        name: "model registered",
        detail_type: "ModelRegistered",
        matches: |_| true,
        told: |detail| tail(&detail["package_arn"]),
    },
    Wanted {
        name: "release deploying",
        detail_type: "DeploymentStarted",
        matches: |_| true,
        told: |detail| text(&detail["release"]),
    },
    Wanted {
        name: "release verified",
        detail_type: "ReleaseVerified",
        matches: |_| true,
        told: checks,
    },
];

/// Events that end a scene that waits for something else.
pub(crate) const FAILURES: [&str; 4] = [
    "DatasetRejected",
    "TrainingFailed",
    "ReleaseFailed",
    "DeploymentSkipped",
];

impl Stage<'_> {
    /// Scene 1: the first upload becomes a verified release that predicts.
    pub(crate) async fn first_release(&mut self) -> Seen {
        if self.is_proving {
            return self.first_release_without_image().await;
        }
        let stage = self.screen.stage("image scanned");
        let skipped = self.wait_for("DeploymentSkipped", |_| true, &[]).await?;
        let held = text(&skipped["reason"]);
        stage.done(&held);
        self.screen.line(&format!("  · {}", self.uploads.cut));
        let mut seen = self
            .upload("training/sales_data.csv", &self.uploads.first)
            .await?;
        seen.push(self.uploads.cut.clone());
        seen.push(format!("image scanned: {held}"));
        seen.extend(self.follow(&TO_JUDGEMENT).await?);
        seen.extend(self.follow(&TO_RELEASE).await?);
        seen.push(self.predict().await?);
        seen.extend(self.rest().await?);
        Ok(seen)
    }

    /// Scene 1 in another order: the training ends before there is an image to judge its model in.
    async fn first_release_without_image(&mut self) -> Seen {
        let first = &self.uploads.first;
        let mut seen = self.upload("training/sales_data.csv", first).await?;
        seen.extend(self.follow(&TO_JUDGEMENT[..2]).await?);
        self.rest().await?;
        self.cloud.push_built_image(self.bins, false).await?;
        let stage = self.screen.stage("model judged");
        let judged = self.wait_for("ModelJudged", |_| true, &[]).await?;
        stage.done(&judgement(&judged));
        seen.extend(self.follow(&TO_RELEASE).await?);
        seen.push(self.predict().await?);
        seen.extend(self.rest().await?);
        Ok(seen)
    }

    /// Scene 2: more data; the challenger meets the champion on the same rows.
    pub(crate) async fn challenger(&mut self) -> Seen {
        let mut seen = self
            .upload("training/sales_data.csv", &self.uploads.second)
            .await?;
        seen.extend(self.follow(&TO_JUDGEMENT).await?);
        let judged = self.newest("ModelJudged").context("no ModelJudged")?;
        let (metrics, baseline) = (&judged["metrics"], &judged["baseline"]);
        ensure!(
            baseline.is_object(),
            "the challenger was judged without a champion: {}",
            judgement(&judged)
        );
        ensure!(
            metrics["rows"] == baseline["rows"],
            "challenger and champion were scored on different rows: {} and {}",
            metrics["rows"],
            baseline["rows"]
        );
        let numbers = format!(
            "challenger accuracy {:.4}, RMSE {:.3}; champion accuracy {:.4}, RMSE {:.3}; {} rows",
            number(&metrics["accuracy"]),
            number(&metrics["rmse"]),
            number(&baseline["accuracy"]),
            number(&baseline["rmse"]),
            metrics["rows"]
        );
        self.screen.line(&format!("    {numbers}"));
        seen.push(numbers);
        if judged["verdict"] == "pass" {
            seen.extend(self.follow(&TO_RELEASE).await?);
            let replaced = format!("the champion was replaced: {}", text(&judged["reason"]));
            self.screen.line(&format!("    {replaced}"));
            seen.push(replaced);
            seen.push(self.predict().await?);
        } else {
            seen.push(format!(
                "the champion was kept: {}",
                text(&judged["reason"])
            ));
        }
        seen.extend(self.rest().await?);
        Ok(seen)
    }

    /// Scene 3: broken uploads are refused with row numbers, and train nothing.
    pub(crate) async fn broken_uploads(&mut self) -> Seen {
        let mut seen = vec![];
        let before = inventory::take(self.cloud).await?;
        let broken = [
            (
                "training/without-sales-column.csv",
                &self.uploads.without_column,
                vec!["sales"],
            ),
            (
                "training/with-bad-rows.csv",
                &self.uploads.with_bad_rows,
                vec!["line 3", "earlier row"],
            ),
        ];
        for (key, body, words) in broken {
            seen.extend(self.upload(key, body).await?);
            let stage = self.screen.stage("upload refused");
            let rejected = self.wait_for("DatasetRejected", |_| true, &[]).await?;
            let findings = rejected["findings"]
                .as_array()
                .into_iter()
                .flatten()
                .map(text)
                .collect::<Vec<_>>();
            stage.done(&format!("{} finding(s)", findings.len()));
            for finding in &findings {
                self.screen.line(&format!("    {finding}"));
            }
            let all = findings.join(" ").to_lowercase();
            for word in words {
                ensure!(
                    all.contains(word),
                    "the findings on {key} don't speak of `{word}`: {all}"
                );
            }
            seen.extend(findings);
        }
        seen.extend(self.rest().await?);
        let after = inventory::take(self.cloud).await?;
        ensure!(
            before["ListTrainingJobs"] == after["ListTrainingJobs"],
            "a broken upload was trained on"
        );
        seen.push("no training job was started".to_owned());
        Ok(seen)
    }

    /// Scene 4: every event of the first scene once more; nothing new is made.
    pub(crate) async fn redelivery(&mut self, events: &[Value]) -> Seen {
        let before = inventory::take(self.cloud).await?;
        let stage = self.screen.stage("events delivered again");
        for event in events {
            Tap::again(self.cloud, event).await?;
        }
        stage.done(&format!("{} events", events.len()));
        self.rest().await?;
        let after = inventory::take(self.cloud).await?;
        let differences = inventory::differences(&before, &after);
        ensure!(
            differences.is_empty(),
            "a repeated event made something new: {}",
            differences.join("; ")
        );
        let counted: Vec<String> = after
            .iter()
            .map(|(kind, names)| format!("{kind} {}", names.len()))
            .collect();
        let line = format!("nothing new: {}", counted.join(", "));
        self.screen.line(&format!("    {line}"));
        Ok(vec![
            format!("{} events of scene 1 were delivered again", events.len()),
            line,
        ])
    }

    pub(crate) async fn upload(&self, key: &str, body: &str) -> Seen {
        let size = body.len() as f64 / 1e6;
        self.cloud.upload(key, body.to_owned()).await?;
        let line = format!("uploaded {key} ({size:.1} MB)");
        self.screen.line(&format!("  · {line}"));
        Ok(vec![line])
    }

    async fn follow(&mut self, stages: &[Wanted]) -> Seen {
        let mut seen = vec![];
        for wanted in stages {
            let stage = self.screen.stage(wanted.name);
            match self
                .wait_for(wanted.detail_type, wanted.matches, &FAILURES)
                .await
            {
                Ok(detail) => {
                    let told = (wanted.told)(&detail);
                    stage.done(&told);
                    seen.push(format!("{}: {told}", wanted.name));
                }
                Err(error) => {
                    stage.failed(&format!("{error:#}"));
                    return Err(error.context(format!("while waiting for: {}", wanted.name)));
                }
            }
        }
        Ok(seen)
    }

    /// The detail of the next event of a type.
    pub(crate) async fn wait_for(
        &mut self,
        detail_type: &str,
        matches: fn(&Value) -> bool,
        failures: &[&str],
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + STAGE_LIMIT;
        while let Some(event) = self.tap.next(self.cloud, deadline).await? {
            if self.tap.is_repeated(self.tap.seen.len() - 1) {
                continue;
            }
            let seen = event["detail-type"].as_str().unwrap_or_default();
            if seen == detail_type && matches(&event["detail"]) {
                return Ok(event["detail"].clone());
            }
            if failures.contains(&seen) {
                bail!("{}", words::failure(seen, &event["detail"]));
            }
        }
        bail!(
            "no {detail_type} within {} s{}",
            STAGE_LIMIT.as_secs(),
            self.troubles().await
        )
    }

    /// Waits until every queue is empty; a dead letter is a failure.
    pub(crate) async fn rest(&mut self) -> Seen {
        let deadline = Instant::now() + STAGE_LIMIT;
        let mut idle_since = Instant::now();
        while idle_since.elapsed() < REST {
            for function in self.cloud.functions() {
                let depths = self.cloud.depths(function).await?;
                if !depths.is_idle() {
                    idle_since = Instant::now();
                }
                if depths.dead > 0 {
                    bail!(
                        "{function} has {} dead letters{}",
                        depths.dead,
                        self.troubles().await
                    );
                }
            }
            if Instant::now() > deadline {
                bail!("the queues don't come to rest{}", self.troubles().await);
            }
            // What happens meanwhile stays in the record of events, and is nothing that comes later.
            let until = Instant::now() + BETWEEN_LOOKS;
            while self.tap.next(self.cloud, until).await?.is_some() {}
        }
        Ok(vec![])
    }

    /// The newest fact of a type; one that was told again isn't new.
    pub(crate) fn newest(&self, detail_type: &str) -> Option<Value> {
        let told = self.tap.seen.iter();
        let mut told = told.enumerate().rev();
        told.find(|(at, event)| event["detail-type"] == detail_type && !self.tap.is_repeated(*at))
            .map(|(_, event)| event["detail"].clone())
    }

    /// What a customer asks.
    pub(crate) fn question(&self) -> anyhow::Result<Value> {
        let question = &self.uploads.question;
        Ok(
            json!({"store_id": question.store.parse::<u32>()?, "item_id": question.item.parse::<u32>()?, "date": question.date}),
        )
    }

    pub(crate) async fn predict(&self) -> anyhow::Result<String> {
        let body = self.question()?;
        let url = format!("{}/predict", self.cloud.addresses().service);
        let stage = self.screen.stage("POST /predict");
        let answer: Value = local_wire::http_client()
            .post(&url)
            .json(&body)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        ensure!(answer["prediction"].is_number(), "{url} answered {answer}");
        let told = format!("{body} → {answer}");
        stage.done(&told);
        Ok(told)
    }
}

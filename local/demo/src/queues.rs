//! The proof's last scene: what each function may do with its own queues. The other grants are told to be missing
//! by a dead letter; these are what tells it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use local_cloud::{
    Cloud,
    grants::{document, grants},
};
use serde_json::{Value, json};

use crate::scenes::{Seen, Stage};

const LIMIT: Duration = Duration::from_mins(2);
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);
const BURY: &str = "sqs:SendMessage";
const DELAY: &str = "sqs:ChangeMessageVisibility";
/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

impl Stage<'_> {
    /// Without either grant each function says what it misses; with it the message is kept, or comes back.
    pub(crate) async fn queues(&mut self) -> Seen {
        let functions: Vec<String> = self.cloud.functions().map(str::to_owned).collect();
        let stage = self.screen.stage("what can't be read");
        for function in &functions {
            self.without(function, Some(BURY)).await?;
            self.send(function, "{").await?;
        }
        for function in &functions {
            self.logged(function, 1, |error| error.contains(BURY))
                .await?;
            let dead = self.cloud.depths(function).await?.dead;
            ensure!(
                dead == 0,
                "{function} has {dead} dead letters and may send none"
            );
            self.without(function, None).await?;
            self.send(function, "{").await?;
        }
        for function in &functions {
            let began = Instant::now();
            while self.cloud.depths(function).await?.dead == 0 {
                ensure!(began.elapsed() < LIMIT, "{function} keeps no dead letter");
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        }
        let bury = format!(
            "{} functions keep what can't be read, and can't without {BURY}",
            functions.len()
        );
        stage.done(&bury);

        let stage = self.screen.stage("S3 can't be reached");
        let events = self.one_of_each();
        for function in &functions {
            self.without(function, Some(DELAY)).await?;
            let nowhere = [("AWS_ENDPOINT_URL_S3", NOWHERE)];
            self.cloud.set_variables(function, &nowhere).await?;
            for event in &events {
                self.send(function, &event.to_string()).await?;
            }
        }
        for function in &functions {
            self.logged(function, 1, |error| error.contains(DELAY))
                .await?;
            self.without(function, None).await?;
        }
        for function in &functions {
            let failed = |error: &str| !error.contains(DELAY) && !error.contains(BURY);
            let before = failures(self.cloud, function, failed).await?;
            for event in &events {
                self.send(function, &event.to_string()).await?;
            }
            // Each message fails once, and again when it comes back.
            self.logged(function, before.len() + 2, failed).await?;
            let again = failures(self.cloud, function, failed).await?;
            let again = &again[before.len()..];
            let began = Instant::now();
            let mut twice = again.to_vec();
            while !has_a_pair(&twice) {
                ensure!(began.elapsed() < LIMIT, "{function}: no message came back");
                tokio::time::sleep(BETWEEN_LOOKS).await;
                twice = failures(self.cloud, function, failed)
                    .await?
                    .split_off(before.len());
            }
        }
        let delay = format!("what fails comes back to each of them, and can't without {DELAY}");
        stage.done(&delay);
        Ok(vec![bury, delay])
    }

    /// The last event of each kind that was seen.
    fn one_of_each(&self) -> Vec<Value> {
        let mut kinds: Vec<(String, &Value)> = vec![];
        for event in &self.tap.seen {
            let detail = &event["detail"];
            let status = [
                "TrainingJobStatus",
                "TransformJobStatus",
                "ModelApprovalStatus",
                "EndpointStatus",
            ];
            let status = status
                .map(|name| detail[name].as_str().unwrap_or_default())
                .concat();
            let job = detail["TransformJobName"].as_str().unwrap_or_default();
            let check = job.starts_with("retail-forecast-check-");
            let kind = format!("{} {status} {check}", event["detail-type"]);
            kinds.retain(|(other, _)| *other != kind);
            kinds.push((kind, event));
        }
        kinds.into_iter().map(|(_, event)| event.clone()).collect()
    }

    /// A function with all its grants but one action.
    async fn without(&self, function: &str, action: Option<&str>) -> anyhow::Result<()> {
        let plan = self.cloud.function(function)?;
        let grants = grants(&plan.policy)?;
        let rest = grants
            .iter()
            .filter(|grant| Some(grant.action.as_str()) != action);
        self.cloud.set_policy(&plan.name, &document(rest)).await
    }

    async fn send(&self, function: &str, body: &str) -> anyhow::Result<()> {
        let (wire, plan) = (self.cloud.wire(), self.cloud.function(function)?);
        let url = format!(
            "{}/{}/{}",
            wire.endpoint(),
            plan.place.account,
            plan.queue.name
        );
        let message = json!({"QueueUrl": url, "MessageBody": body});
        wire.json("sqs", "AmazonSQS.SendMessage", message).await?;
        Ok(())
    }

    /// Waits until a function has failed by such an error so many times.
    async fn logged(
        &self,
        function: &str,
        times: usize,
        such: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while failures(self.cloud, function, &such).await?.len() < times {
            if began.elapsed() > LIMIT {
                let logs = self.cloud.logs(function).await?;
                let last = logs.last().context("no log")?;
                bail!("{function} doesn't fail as it should; its log ends: {last}");
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }
}

fn has_a_pair(events: &[String]) -> bool {
    let mut sorted = events.to_vec();
    sorted.sort();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

/// The events at which a function failed by such an error, in order.
async fn failures(
    cloud: &Cloud,
    function: &str,
    such: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<String>> {
    let lines = cloud.logs(function).await?;
    let lines = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let failed = lines
        .filter(|line| line["message"] == "failed" && line["error"].as_str().is_some_and(&such));
    Ok(failed.map(|line| line["event_id"].to_string()).collect())
}

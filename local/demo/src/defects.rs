//! Scenes of releases that go wrong.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use local_cloud::{Findings, Tap};
use local_wire::ImageSpec;
use serde_json::{Value, json};

use crate::{
    inventory,
    scenes::{FAILURES, ROLLBACK_LIMIT_S, Seen, Stage},
    words::text,
};

/// Pause between two questions of a customer.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(20);
/// Each of so many answers of the canary is an error: 4 %. That is more than a canary may do worse, 1 %, and less
/// than an alarm sees, 5 %. An alarm would end the canary, too, and it is chance which comes first.
/// (All three periods of an alarm can only be above 5 % where they have less than 96 requests together.)
const CANARY_FAILS_EACH: &str = "25";

impl Stage<'_> {
    /// Scene 6: a release that passes every check fails under traffic; its alarm brings the good one
    /// back, and the bad one stays away.
    pub(crate) async fn failing_release(&mut self) -> Seen {
        let good = self.live_release().await?;
        let unsteady = self.bins.join("unsteady");
        let digest = self
            .push("build-2", &unsteady, &[], &Findings::new())
            .await?;
        let verified = self
            .stage_of("bad release verified", "ReleaseVerified")
            .await?;
        let bad = text(&verified["release"]);
        let mut seen = vec![format!("{bad} passed every check and is live")];

        let stage = self.screen.stage("customers ask");
        let started = self.ask_until("RollbackStarted").await?;
        let cause = text(&started["cause"]);
        stage.done(&cause);
        seen.push(format!("rollback started: {cause}"));
        ensure!(
            started["release"] == json!(good) && started["from"] == json!(bad),
            "{good} should come back instead of {bad}, and {} comes instead of {}",
            text(&started["release"]),
            text(&started["from"])
        );

        let restored = self
            .stage_of("good release restored", "RollbackSucceeded")
            .await?;
        let seconds = restored["seconds"].as_i64().unwrap_or(i64::MAX);
        ensure!(
            seconds < ROLLBACK_LIMIT_S,
            "restored after {seconds} s only"
        );
        let live = self.live_release().await?;
        ensure!(
            live == good,
            "/health answers for {live}, and {good} should serve"
        );
        let line = format!("{good} serves again, {seconds} s after the alarm");
        self.screen.line(&format!("    {line}"));
        seen.push(line);
        seen.push(self.predict().await?);

        let quarantined = text(&restored["quarantined"]);
        ensure!(
            quarantined.contains(&digest),
            "the image {digest} should be quarantined, and {quarantined} is"
        );
        seen.push(format!("quarantined: {quarantined}"));
        self.rest().await?;
        seen.extend(self.stays_away(&digest).await?);
        Ok(seen)
    }

    /// The event that brought the bad image, delivered again, does nothing.
    async fn stays_away(&mut self, digest: &str) -> Seen {
        let scanned = |event: &&Value| {
            event["detail-type"] == "ECR Image Scan" && event["detail"]["image-digest"] == digest
        };
        let event = self.tap.seen.iter().find(scanned);
        let event = event.context("no scan of the bad image was seen")?.clone();
        let before = inventory::take(self.cloud).await?;
        Tap::again(self.cloud, &event).await?;
        let skipped = self
            .stage_of("its event, delivered again", "DeploymentSkipped")
            .await?;
        let reason = text(&skipped["reason"]);
        ensure!(
            reason.contains("quarantined"),
            "skipped, but because: {reason}"
        );
        self.rest().await?;
        let after = inventory::take(self.cloud).await?;
        // Why not is kept, and people are told; nothing else is new.
        let made = inventory::differences(&before, &after);
        let made: Vec<&String> = made
            .iter()
            .filter(|new| {
                let told = ["new in messages", "new in objects: notifications/"];
                let kept = "new in objects: decisions/deploy-release/skipped-";
                !told
                    .iter()
                    .chain([&kept])
                    .any(|begin| new.starts_with(begin))
            })
            .collect();
        ensure!(made.is_empty(), "the event made something: {made:?}");
        Ok(vec![format!("its event again: {reason}")])
    }

    /// Scene 7: a release is tried out on a share of the pods, does worse than what is live, though not by so much
    /// that an alarm saw it, and is taken away.
    pub(crate) async fn aborted_canary(&mut self) -> Seen {
        let good = self.live_release().await?;
        self.strategy("canary").await?;
        let unsteady = self.bins.join("unsteady");
        let sometimes = [("SOUND_ANSWERS", "0"), ("FAILS_EACH", CANARY_FAILS_EACH)];
        let digest = self
            .push("build-3", &unsteady, &sometimes, &Findings::new())
            .await?;
        let stage = self.screen.stage("canary out");
        let started = self.wait_for("CanaryStarted", |_| true, &FAILURES).await?;
        let share = format!("{} of {} pods", started["pods"], started["of"]);
        stage.done(&share);
        let mut seen = vec![format!(
            "{} is tried out on {share}",
            text(&started["release"])
        )];

        let stage = self.screen.stage("customers ask");
        let failed = self.ask_until("ReleaseFailed").await?;
        let verdict = text(&failed["reason"]);
        stage.done(&verdict);
        ensure!(
            failed["stage"] == "canary",
            "the canary should fail by its own figures: {failed}"
        );
        seen.push(format!("the canary's verdict: {verdict}"));

        let restored = self
            .stage_of("canary taken away", "RollbackSucceeded")
            .await?;
        ensure!(
            text(&restored["quarantined"]).contains(&digest),
            "the image {digest} should be quarantined: {restored}"
        );
        let live = self.live_release().await?;
        ensure!(live == good, "{live} is live, and {good} should be");
        seen.push(format!("{good} stayed live; quarantined: {digest}"));
        self.strategy("rolling").await?;
        seen.extend(self.rest().await?);
        Ok(seen)
    }

    /// The strategy of deployments from now on.
    async fn strategy(&self, strategy: &str) -> anyhow::Result<()> {
        let variables = [("STRATEGY", strategy)];
        self.cloud.set_variables("deploy-release", &variables).await
    }

    /// Scene 8: an image with HIGH findings is stopped at its scan.
    pub(crate) async fn vulnerable_image(&mut self) -> Seen {
        let good = self.live_release().await?;
        let serve = self.bins.join("serve");
        let findings = Findings::from([("HIGH".to_owned(), 2)]);
        self.push("build-4", &serve, &[], &findings).await?;
        let skipped = self.stage_of("image refused", "DeploymentSkipped").await?;
        let reason = text(&skipped["reason"]);
        ensure!(reason.contains("HIGH"), "refused, but because: {reason}");
        self.rest().await?;
        let live = self.live_release().await?;
        ensure!(live == good, "{live} is live, and {good} was");
        Ok(vec![reason, format!("{good} stays live")])
    }

    /// Pushes a program as this environment's newest image, with variables of its own.
    async fn push(
        &self,
        build: &str,
        serve: &Path,
        variables: &[(&str, &str)],
        findings: &Findings,
    ) -> anyhow::Result<String> {
        let latest = format!("latest-{}", self.cloud.place().environment);
        // An image of its own even where the program is the same.
        let build_id = [("BUILD_ID", build)];
        let variables = variables.iter().chain(&build_id);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let spec = ImageSpec {
            train: None,
            serve: Some(serve.to_owned()),
            environment: variables.collect(),
        };
        self.cloud
            .push_image("retail-forecast-infer", &[build, &latest], &spec, findings)
            .await
    }

    /// Waits for an event and shows it as a stage.
    pub(crate) async fn stage_of(
        &mut self,
        name: &str,
        detail_type: &str,
    ) -> anyhow::Result<Value> {
        let stage = self.screen.stage(name);
        // What led to a rollback may still be told while it is waited for.
        let failures: Vec<&str> = FAILURES
            .into_iter()
            .filter(|failure| *failure != detail_type && detail_type != "RollbackSucceeded")
            .collect();
        match self.wait_for(detail_type, |_| true, &failures).await {
            Ok(detail) => {
                let told = ["reason", "release"].map(|name| detail[name].as_str());
                stage.done(told.into_iter().flatten().next().unwrap_or_default());
                Ok(detail)
            }
            Err(error) => {
                stage.failed(&format!("{error:#}"));
                Err(error)
            }
        }
    }

    /// Asks for predictions as customers do, until an event comes.
    async fn ask_until(&mut self, detail_type: &str) -> anyhow::Result<Value> {
        let url = format!("{}/predict", self.cloud.addresses().service);
        let client = local_wire::http_client();
        let question = self.question()?;
        let customer = || async {
            loop {
                // A failure is what this scene is about.
                let _ = client.post(&url).json(&question).send().await;
                tokio::time::sleep(BETWEEN_REQUESTS).await;
            }
        };
        let customers = async { tokio::join!(customer(), customer(), customer()) };
        tokio::select! {
            event = self.wait_for(detail_type, |_| true, &[]) => event,
            _ = customers => anyhow::bail!("nobody asks any more"),
        }
    }

    /// The release that the API answers for.
    pub(crate) async fn live_release(&self) -> anyhow::Result<String> {
        let url = format!("{}/health", self.cloud.addresses().service);
        let health: Value = reqwest::get(&url).await?.json().await?;
        let release = health["release"].as_str();
        Ok(release.context("/health names no release")?.to_owned())
    }
}

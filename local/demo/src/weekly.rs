//! The scene of the weekly check.

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::{
    scenes::{Seen, Stage},
    words::{number, text},
};

impl Stage<'_> {
    /// Scene 5: Monday, 02:00 UTC. Which verdict is right follows from scene 2: a champion that learnt from
    /// the newest data has no new rows to be checked by, and one that was kept has those that came after it.
    pub(crate) async fn weekly_check(&mut self) -> Seen {
        self.check("demo-weekly-check", "2026-11-23T02:00:00Z")
            .await
    }

    /// The weekly check's event.
    pub(crate) async fn check(&mut self, id: &str, time: &str) -> Seen {
        let stage = self.screen.stage("weekly check");
        let place = self.cloud.place();
        let envelope = json!({
            "version": "0",
            "id": id,
            "source": "aws.events",
            "detail-type": "Scheduled Event",
            "account": place.account,
            "time": time,
            "region": place.region,
            "resources": [format!("arn:aws:events:{}:{}:rule/weekly-check", place.region, place.account)],
            "detail": {},
        });
        // The emulator's clock won't wait for Monday: the schedule's event goes straight to its queue.
        self.cloud.enqueue("check-model", &envelope).await?;
        let checked = self.wait_for("ModelChecked", |_| true, &[]).await?;
        let verdict = format!(
            "verdict {}: {}",
            text(&checked["verdict"]),
            text(&checked["reason"])
        );
        stage.done(&verdict);
        let judged = self.newest("ModelJudged").context("no ModelJudged")?;
        let replaced = judged["verdict"] == "pass";
        let expected: &[&str] = if replaced {
            &["no-data"]
        } else {
            &["keep", "retrain"]
        };
        ensure!(
            expected.contains(&text(&checked["verdict"]).as_str()),
            "scene 2 judged {}, so {} was expected: {verdict}",
            text(&judged["verdict"]),
            expected.join(" or ")
        );
        let mut seen = vec![verdict];
        if replaced {
            ensure!(
                checked["metrics"].is_null(),
                "no row is new, and something was measured: {checked}"
            );
        } else {
            let metrics = &checked["metrics"];
            ensure!(
                metrics["rows"].as_u64().is_some_and(|rows| rows > 0),
                "a verdict without rows: {checked}"
            );
            let measured = format!(
                "accuracy {:.4} on {} rows that are new to the champion",
                number(&metrics["accuracy"]),
                metrics["rows"]
            );
            self.screen.line(&format!("    {measured}"));
            seen.push(measured);
        }
        seen.extend(self.rest().await?);
        Ok(seen)
    }
}

//! The proof's story of a model that can't be judged.

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::{
    scenes::{Seen, Stage},
    words::text,
};

impl Stage<'_> {
    /// Story 16.
    pub(crate) async fn unjudged_model(&mut self) -> Seen {
        let mut validated = self.tap.seen.iter().rev();
        let validated = validated.find(|event| event["detail-type"] == "DatasetValidated");
        let validated = validated.context("no data set was accepted")?;
        let dataset = text(&validated["detail"]["dataset"]);
        // The container refuses to predict these; trainings read others.
        let bucket = self.cloud.place().artifacts_bucket();
        let rows = format!("datasets/{dataset}/features/rows.csv");
        let wire = self.cloud.wire();
        wire.s3_put(&bucket, &rows, "rows of nothing\n").await?;

        let mut retrain = json!({"dataset": dataset, "request": "proof-16", "requested_by": "proof",
            "build_id": "build-16-proof", "reason": "to be tried on broken rows", "id": "proof-retrain-16"});
        self.request("RetrainRequested", &retrain).await?;
        let failed = self
            .stage_of("model can't be tried", "TrainingFailed")
            .await?;
        ensure!(
            failed["failed_job"] != failed["training_job"],
            "the training should succeed, and the transform fail: {failed}"
        );
        let mut seen = vec![text(&failed["reason"])];
        self.rest().await?;

        retrain["id"] = json!("proof-retrain-17");
        retrain["reason"] = json!("once more");
        self.request("RetrainRequested", &retrain).await?;
        let again = self
            .stage_of("the same data again", "TrainingFailed")
            .await?;
        let reason = text(&again["reason"]);
        ensure!(
            reason.contains("couldn't be judged"),
            "not started, but because: {reason}"
        );
        seen.push(reason);

        let job = &failed["training_job"];
        let word = json!({"training_job": job, "by": "proof", "reason": "it is good enough", "id": "proof-override-16"});
        self.request("OverrideRequested", &word).await?;
        let refused = self
            .stage_of("nothing to override", "RequestRefused")
            .await?;
        seen.push(text(&refused["reason"]));
        seen.extend(self.rest().await?);
        Ok(seen)
    }
}

//! The scene of an endpoint update that comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use local_cloud::Findings;
use local_wire::{ImageSpec, Method};
use serde_json::{Value, json};

use crate::{
    scenes::{ROLLBACK_LIMIT_S, Seen, Stage},
    words::text,
};

/// Pause between two questions to the endpoint.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(50);
const REPOSITORY: &str = "retail-forecast-infer";
/// What went wrong, as the endpoint's own.
const ENDPOINT: &str = "the endpoint ";
const ENDPOINT_ALARM: &str = "alarm RetailForecast-Endpoint-";

impl Stage<'_> {
    /// Scene 9: a model package whose container answers 5XX on the endpoint, and only there. The update's
    /// own alarm takes it back while it bakes, and the whole release goes back with it.
    pub(crate) async fn endpoint_update(&mut self) -> Seen {
        let good = self.live_release().await?;
        let serves = self.endpoint_config().await?;
        let known = self.rollbacks();
        let package = self.package_with_a_defect().await?;
        let started = self
            .stage_of("release deploying", "DeploymentStarted")
            .await?;
        let bad = text(&started["release"]);
        let began = Instant::now();
        let mut seen = vec![format!(
            "{bad} is deploying with {package}, on {serves} until then"
        )];

        let stage = self.screen.stage("customers ask the endpoint");
        let back = self.ask_endpoint_until("RollbackStarted").await?;
        let cause = text(&back["cause"]);
        stage.done(&cause);
        ensure!(
            back["release"] == json!(good) && back["from"] == json!(bad),
            "{good} should come back instead of {bad}: {back}"
        );
        ensure!(
            cause.starts_with(ENDPOINT) || cause.starts_with(ENDPOINT_ALARM),
            "the endpoint should be the cause, and is not: {cause}"
        );
        seen.push(format!("rollback started: {cause}"));

        let restored = self
            .stage_of("good release restored", "RollbackSucceeded")
            .await?;
        let after = restored["seconds"].as_i64().unwrap_or(i64::MAX);
        ensure!(after < ROLLBACK_LIMIT_S, "restored after {after} s only");
        self.rest().await?;
        let endpoint = self.describe_endpoint().await?;
        ensure!(
            endpoint["EndpointStatus"] == "InService"
                && endpoint["EndpointConfigName"] == json!(serves),
            "the endpoint should be InService on {serves}: {endpoint}"
        );
        let live = self.live_release().await?;
        ensure!(live == good, "{live} serves, and {good} should");
        let reason = text(&endpoint["FailureReason"]);
        let line = format!(
            "endpoint InService on {serves} ({reason}); {good} serves again, {after} s after the alarm and {} s after the deployment began",
            began.elapsed().as_secs()
        );
        self.screen.line(&format!("    {line}"));
        seen.push(line);

        let quarantined = text(&restored["quarantined"]);
        ensure!(
            quarantined == package,
            "{package} should be quarantined, and {quarantined} is"
        );
        let now = self.describe_package(&package).await?;
        ensure!(
            now["ModelApprovalStatus"] == "Rejected",
            "the guilty package should be Rejected: {now}"
        );
        seen.push(format!("quarantined and Rejected: {quarantined}"));
        let made = self.rollbacks().difference(&known).count();
        ensure!(
            made == 1,
            "{made} rollbacks were started, and one should be"
        );
        let told = self.cloud.inbox().await?;
        let told = told.iter().filter(|alert| alert.message.contains(&bad));
        let subjects: Vec<&str> = told.map(|alert| alert.subject.as_str()).collect();
        ensure!(
            subjects
                .iter()
                .filter(|told| told.contains("Rollback started"))
                .count()
                == 1,
            "people should be told once of the rollback: {subjects:?}"
        );
        seen.push(format!(
            "one rollback; people were told: {}",
            subjects.join("; ")
        ));
        Ok(seen)
    }

    /// A package of the live model whose container answers 500 to every invocation, approved.
    async fn package_with_a_defect(&mut self) -> anyhow::Result<String> {
        let environment = [
            ("BUILD_ID", "build-9"),
            ("DEFECT", "/invocations"),
            ("SOUND_ANSWERS", "0"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let spec = ImageSpec {
            train: None,
            serve: Some(self.bins.join("unsteady")),
            environment: BTreeMap::from(environment),
        };
        // Without the environment's tag it goes nowhere by itself.
        let digest = self
            .cloud
            .push_image(REPOSITORY, &["build-9"], &spec, &Findings::new())
            .await?;
        self.package_of(&digest).await
    }

    /// A package of the live model in another container, approved.
    pub(crate) async fn package_of(&self, digest: &str) -> anyhow::Result<String> {
        let place = self.cloud.place();
        let image = format!("{}/{REPOSITORY}@{digest}", place.registry());
        let live = self.live_package().await?;
        let mut metadata = live["CustomerMetadataProperties"].clone();
        // Nobody judged it against anything.
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("champion");
        }
        let mut inference = live["InferenceSpecification"].clone();
        inference["Containers"] = json!([{
            "Image": image,
            "ModelDataUrl": live["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
        }]);
        let request = json!({
            "ModelPackageGroupName": live["ModelPackageGroupName"],
            "ModelPackageDescription": "the live model in another container",
            "InferenceSpecification": inference,
            "ModelApprovalStatus": "Approved",
            "CustomerMetadataProperties": metadata,
        });
        let made = self.sagemaker("CreateModelPackage", request).await?;
        Ok(text(&made["ModelPackageArn"]))
    }

    /// The package of the live release.
    pub(crate) async fn live_package(&self) -> anyhow::Result<Value> {
        let bucket = self.cloud.place().artifacts_bucket();
        let manifest = format!("releases/{}.json", self.live_release().await?);
        let manifest = self.cloud.object(&bucket, &manifest).await?;
        let manifest: Value = serde_json::from_slice(&manifest.context("no live release")?)?;
        self.describe_package(&text(&manifest["model"]["package_arn"]))
            .await
    }

    /// Asks the endpoint as its customers do, until an event comes.
    pub(crate) async fn ask_endpoint_until(&mut self, detail_type: &str) -> anyhow::Result<Value> {
        let wire = self.cloud.wire().at(&self.cloud.addresses().sagemaker);
        let path = format!("/endpoints/{}/invocations", self.endpoint());
        let question = self.question()?.to_string();
        let customers = async {
            loop {
                // A failure is what this scene is about.
                let headers = [("content-type", "application/json")];
                let _ = wire
                    .rest("sagemaker", Method::POST, &path, &headers, question.clone())
                    .await;
                tokio::time::sleep(BETWEEN_REQUESTS).await;
            }
        };
        tokio::select! {
            event = self.wait_for(detail_type, |_| true, &["ReleaseVerified"]) => event,
            () = customers => anyhow::bail!("nobody asks any more"),
        }
    }

    /// Ids of the rollbacks that were started.
    fn rollbacks(&self) -> BTreeSet<String> {
        let events = self.tap.seen.iter();
        let started = events.filter(|event| event["detail-type"] == "RollbackStarted");
        started.map(|event| text(&event["detail"]["id"])).collect()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("retail-forecast-{}", self.cloud.place().environment)
    }

    pub(crate) async fn endpoint_config(&self) -> anyhow::Result<String> {
        Ok(text(&self.describe_endpoint().await?["EndpointConfigName"]))
    }

    pub(crate) async fn describe_endpoint(&self) -> anyhow::Result<Value> {
        let request = json!({"EndpointName": self.endpoint()});
        self.sagemaker("DescribeEndpoint", request).await
    }

    pub(crate) async fn describe_package(&self, arn: &str) -> anyhow::Result<Value> {
        let request = json!({"ModelPackageName": arn});
        self.sagemaker("DescribeModelPackage", request).await
    }

    pub(crate) async fn sagemaker(&self, operation: &str, request: Value) -> anyhow::Result<Value> {
        let wire = self.cloud.wire().at(&self.cloud.addresses().sagemaker);
        let target = format!("SageMaker.{operation}");
        Ok(wire.json("sagemaker", &target, request).await?)
    }
}

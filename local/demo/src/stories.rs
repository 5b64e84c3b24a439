//! The scenes that only a proof plays: what the demonstration leaves out, and grants are there for.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, ensure};
use jiff::{Span, civil::Date};
use local_cloud::{Findings, UNSUPPORTED};
use local_wire::ImageSpec;
use serde_json::{Value, json};

use crate::{
    scenes::{Seen, Stage},
    words::text,
};

/// Numbers, titles, and what has to be seen.
pub(crate) const STORIES: [(usize, &str, &str); 7] = [
    (
        10,
        "Requests and jobs that fail",
        "an unknown data set, a job without an image and a broken validation file are told",
    ),
    (
        11,
        "Newer data while deployments are frozen",
        "the model is judged and not deployed; the weekly check tries the live one on the new rows",
    ),
    (
        12,
        "Another model under a judged one's name, and another configuration",
        "its golden rows fail; rolled back; the diagnosis finds the package guilty and rejects it",
    ),
    (
        13,
        "A person asks for the way back, and what it leads to is gone",
        "model, configuration and then the endpoint itself are made again",
    ),
    (
        14,
        "Three more requests of a person",
        "a verdict is overridden and the model registered; a build id that is used trains nothing else; a quarantined part is let go",
    ),
    (
        15,
        "An image that ECR's scanner can't read",
        "the pipeline's own scan of it counts: it found HIGH ones, so it is stopped",
    ),
    (
        16,
        "A model that can't be judged",
        "told; told again when the same data comes again; there is no verdict that a person could override",
    ),
];

/// Settings of the API that make another configuration.
const OTHER_CONFIGURATION: (&str, &str) = ("API_ENVIRONMENT", r#"{"METRICS_PERIOD_S": "4"}"#);

impl Stage<'_> {
    /// Story 10.
    pub(crate) async fn failures(&mut self) -> Seen {
        let request = json!({"dataset": "0123456789ab", "request": "proof", "requested_by": "proof",
            "reason": "nobody uploaded it", "id": "proof-retrain"});
        self.request("RetrainRequested", &request).await?;
        let failed = self.stage_of("unknown data set", "TrainingFailed").await?;
        let mut seen = vec![text(&failed["reason"])];

        let trained = self.tap.seen.iter().find(|event| {
            event["detail-type"] == "SageMaker Training Job State Change"
                && event["detail"]["TrainingJobStatus"] == "Completed"
        });
        let trained = trained.context("no training was seen")?;
        let name = json!({"TrainingJobName": trained["detail"]["TrainingJobName"]});
        let mut job = self.sagemaker("DescribeTrainingJob", name).await?;
        let fields = [
            "AlgorithmSpecification",
            "RoleArn",
            "InputDataConfig",
            "OutputDataConfig",
            "ResourceConfig",
            "StoppingCondition",
            "HyperParameters",
        ];
        let mut copy = json!({"TrainingJobName": "retail-forecast-build-0123456789ab"});
        for field in fields {
            copy[field] = job[field].take();
        }
        let registry = self.cloud.place().registry();
        copy["AlgorithmSpecification"]["TrainingImage"] =
            json!(format!("{registry}/retail-forecast-train:none"));
        self.sagemaker("CreateTrainingJob", copy).await?;
        let failed = self
            .stage_of("job without an image", "TrainingFailed")
            .await?;
        seen.push(text(&failed["reason"]));

        let key = "validation/without-sales-column.csv";
        seen.extend(self.upload(key, &self.uploads.without_column).await?);
        self.stage_of("validation file refused", "DatasetRejected")
            .await?;
        seen.extend(self.rest().await?);
        Ok(seen)
    }

    /// Story 11.
    pub(crate) async fn frozen(&mut self) -> Seen {
        let frozen = [("FROZEN", "a proof")];
        self.cloud.set_variables("deploy-release", &frozen).await?;
        let data = later(&self.uploads.second)?;
        let mut seen = self.upload("training/sales_data.csv", &data).await?;
        let stage = self.screen.stage("model judged");
        let judged = self.wait_for("ModelJudged", |_| true, &[]).await?;
        stage.done(&text(&judged["reason"]));
        self.rest().await?;
        self.clean_up_models().await?;
        seen.extend(
            self.check("proof-weekly-check", "2026-11-30T02:00:00Z")
                .await?,
        );
        let verdict = seen.last().map_or("", String::as_str);
        ensure!(
            !verdict.contains("no-data"),
            "the check should have data: {verdict}"
        );
        self.cloud.set_variables("deploy-release", &[]).await?;
        Ok(seen)
    }

    /// Story 12.
    pub(crate) async fn diagnosis(&mut self) -> Seen {
        let variables = [OTHER_CONFIGURATION];
        self.cloud
            .set_variables("deploy-release", &variables)
            .await?;
        let package = self.package_of_another_model().await?;
        self.stage_of("release deploying", "DeploymentStarted")
            .await?;
        self.stage_of("it predicts otherwise than was judged", "ReleaseFailed")
            .await?;
        let diagnosed = self.stage_of("parts tried", "ReleaseDiagnosed").await?;
        self.rest().await?;
        self.cloud.set_variables("deploy-release", &[]).await?;
        let now = self.describe_package(&package).await?;
        ensure!(
            now["ModelApprovalStatus"] == "Rejected",
            "{package} should be Rejected: {diagnosed}"
        );
        Ok(vec![text(&diagnosed["reason"])])
    }

    /// Story 13.
    pub(crate) async fn way_back(&mut self) -> Seen {
        let mut seen = vec![];
        for (build, is_whole) in [("build-11", false), ("build-12", true)] {
            let good = self.endpoint_config().await?;
            let model = self
                .sagemaker(
                    "DescribeEndpointConfig",
                    json!({"EndpointConfigName": good}),
                )
                .await?;
            let model = text(&model["ProductionVariants"][0]["ModelName"]);
            self.package(build, "serve", &[]).await?;
            let verified = self.stage_of("release verified", "ReleaseVerified").await?;
            self.rest().await?;
            let config = json!({"EndpointConfigName": good});
            self.sagemaker("DeleteEndpointConfig", config).await?;
            self.sagemaker("DeleteModel", json!({"ModelName": model}))
                .await?;
            if is_whole {
                let endpoint = json!({"EndpointName": self.endpoint()});
                self.sagemaker("DeleteEndpoint", endpoint).await?;
            }
            let request = json!({"release": verified["release"], "request": build, "by": "proof",
                "reason": "a proof", "id": format!("proof-{build}")});
            self.request("RollbackRequested", &request).await?;
            self.stage_of("good release restored", "RollbackSucceeded")
                .await?;
            self.rest().await?;
            let now = self.describe_endpoint().await?;
            ensure!(
                now["EndpointConfigName"] == json!(good),
                "{good} should be made again: {now}"
            );
            seen.push(format!("{good} was made again"));
        }
        Ok(seen)
    }

    /// Story 14.
    pub(crate) async fn requests(&mut self) -> Seen {
        let frozen = [("FROZEN", "a proof")];
        self.cloud.set_variables("deploy-release", &frozen).await?;
        let severe = [("MIN_ACCURACY", "0.9999")];
        self.cloud.set_variables("judge-model", &severe).await?;
        let mut validated = self.tap.seen.iter().rev();
        let validated = validated.find(|event| event["detail-type"] == "DatasetValidated");
        let validated = validated.context("no data set was accepted")?;
        let retrain = json!({"dataset": validated["detail"]["dataset"], "request": "proof-14", "requested_by": "proof",
            "build_id": "build-14-proof", "reason": "to be judged severely", "id": "proof-retrain-14"});
        self.request("RetrainRequested", &retrain).await?;
        let judged = self.stage_of("model judged", "ModelJudged").await?;
        ensure!(
            judged["verdict"] == "fail",
            "nothing is as accurate as that: {judged}"
        );
        self.rest().await?;

        let job = &judged["training_job"];
        let word = json!({"training_job": job, "by": "proof", "reason": "it is good enough", "id": "proof-override"});
        self.request("OverrideRequested", &word).await?;
        let registered = self
            .stage_of("verdict overridden, model registered", "ModelRegistered")
            .await?;
        ensure!(
            registered["training_job"] == *job,
            "{job} should be registered: {registered}"
        );
        let mut seen = vec![text(&registered["reason"])];
        self.rest().await?;

        let other = [("HYPERPARAMETERS", r#"{"n_estimators": "20"}"#)];
        self.cloud.set_variables("start-training", &other).await?;
        let mut again = retrain;
        again["id"] = json!("proof-retrain-15");
        again["reason"] = json!("with other parameters");
        self.request("RetrainRequested", &again).await?;
        let failed = self
            .stage_of("a build id that is used", "TrainingFailed")
            .await?;
        seen.push(text(&failed["reason"]));
        for function in ["deploy-release", "judge-model", "start-training"] {
            self.cloud.set_variables(function, &[]).await?;
        }

        let lift = json!({"identity": self.quarantined().await?, "by": "proof", "reason": "it was another's fault",
            "id": "proof-lift"});
        self.request("LiftRequested", &lift).await?;
        let lifted = self.stage_of("part let go", "QuarantineLifted").await?;
        seen.push(format!("{} is let go", text(&lifted["identity"])));
        seen.extend(self.rest().await?);
        Ok(seen)
    }

    /// Story 15.
    pub(crate) async fn unsupported_image(&mut self) -> Seen {
        let good = self.live_release().await?;
        let build = "build-15";
        let spec = ImageSpec {
            train: None,
            serve: Some(self.bins.join("serve")),
            environment: BTreeMap::from([("BUILD_ID".to_owned(), build.to_owned())]),
        };
        let findings = Findings::from([(UNSUPPORTED.to_owned(), 1)]);
        // Without the environment's tag it goes nowhere by itself.
        let push = async |tags: &[&str]| {
            let repository = "retail-forecast-infer";
            self.cloud
                .push_image(repository, tags, &spec, &findings)
                .await
        };
        let digest = push(&[build]).await?;
        let record = json!({"schema": 1, "digest": digest, "scanner": "a proof", "status": "COMPLETE",
            "findings": {"HIGH": 1}});
        let key = format!("scans/{}.json", digest.trim_start_matches("sha256:"));
        let bucket = self.cloud.place().artifacts_bucket();
        let wire = self.cloud.wire();
        wire.s3_put(&bucket, &key, record.to_string()).await?;
        push(&[&format!("latest-{}", self.cloud.place().environment)]).await?;
        let skipped = self.stage_of("image refused", "DeploymentSkipped").await?;
        let reason = text(&skipped["reason"]);
        ensure!(reason.contains("HIGH"), "refused, but because: {reason}");
        self.rest().await?;
        let live = self.live_release().await?;
        ensure!(live == good, "{live} is live, and {good} was");
        Ok(vec![reason])
    }

    /// Removes what evaluations made to predict with, as who tidies up an account does; the endpoint's stay.
    async fn clean_up_models(&self) -> anyhow::Result<()> {
        let models = self
            .sagemaker("ListModels", json!({"MaxResults": 100}))
            .await?;
        let of_endpoint = format!("{}-", self.endpoint());
        for model in models["Models"].as_array().into_iter().flatten() {
            let name = text(&model["ModelName"]);
            if !name.starts_with(&of_endpoint) {
                self.sagemaker("DeleteModel", json!({"ModelName": name}))
                    .await?;
            }
        }
        Ok(())
    }

    /// What was quarantined last.
    async fn quarantined(&self) -> anyhow::Result<Value> {
        let place = self.cloud.place();
        let key = format!("environments/{}/quarantine.json", place.environment);
        let list = self.cloud.object(&place.artifacts_bucket(), &key).await?;
        let list: Value = serde_json::from_slice(&list.context("nothing is quarantined")?)?;
        let last = list["entries"]
            .as_array()
            .and_then(|entries| entries.last());
        Ok(last.context("nothing is quarantined")?["identity"].clone())
    }

    /// A package that says it is the live model, and is the first one.
    async fn package_of_another_model(&self) -> anyhow::Result<String> {
        let mut registered = self
            .tap
            .seen
            .iter()
            .filter(|event| event["detail-type"] == "ModelRegistered");
        let first = registered.next().context("no model was registered")?;
        let first = self
            .describe_package(&text(&first["detail"]["package_arn"]))
            .await?;
        let live = self.live_package().await?;
        let mut metadata = live["CustomerMetadataProperties"].clone();
        // Nobody judged it against anything.
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("champion");
        }
        metadata["model_digest"] = first["CustomerMetadataProperties"]["model_digest"].clone();
        let request = json!({
            "ModelPackageGroupName": live["ModelPackageGroupName"],
            "InferenceSpecification": first["InferenceSpecification"],
            "ModelApprovalStatus": "Approved",
            "CustomerMetadataProperties": metadata,
        });
        let made = self.sagemaker("CreateModelPackage", request).await?;
        Ok(text(&made["ModelPackageArn"]))
    }

    /// The live model in another container, approved.
    async fn package(
        &self,
        build: &str,
        program: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let build_id = [("BUILD_ID", build)];
        let variables = variables.iter().chain(&build_id);
        let environment: BTreeMap<_, _> = variables
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let spec = ImageSpec {
            train: None,
            serve: Some(self.bins.join(program)),
            environment,
        };
        let repository = "retail-forecast-infer";
        let findings = Findings::new();
        let tags = [build];
        let pushed = self.cloud.push_image(repository, &tags, &spec, &findings);
        self.package_of(&pushed.await?).await
    }

    pub(crate) async fn request(&self, detail_type: &str, detail: &Value) -> anyhow::Result<()> {
        let bus = self.cloud.place().event_bus();
        self.cloud
            .put_event(&bus, "retail-forecast", detail_type, detail)
            .await
    }
}

/// The same sales, and those of the last 60 days once more, 60 days later.
fn later(sales: &str) -> anyhow::Result<String> {
    let days = Span::new().days(60);
    let rows: Vec<(Date, &str)> = sales
        .lines()
        .skip(1)
        .map(|line| {
            let (date, rest) = line.split_once(',').context("a line of one column")?;
            Ok((date.parse::<Date>()?, rest))
        })
        .collect::<anyhow::Result<_>>()?;
    let last = rows
        .iter()
        .map(|(date, _)| *date)
        .max()
        .context("no rows")?;
    let since = last.checked_sub(days)?;
    let mut text = sales.trim_end().to_owned();
    for (date, rest) in rows.iter().filter(|(date, _)| *date > since) {
        write!(text, "\n{},{rest}", date.checked_add(days)?)?;
    }
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_last_days_are_repeated_later() {
        let sales = "date,store,item,sales\n2024-01-01,1,1,5\n2024-03-10,1,1,7\n";
        let expected = format!("{sales}2024-05-09,1,1,7\n");
        assert_eq!(super::later(sales).unwrap(), expected);
    }
}

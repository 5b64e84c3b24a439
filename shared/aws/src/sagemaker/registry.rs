//! The model registry: groups and the packages in them.

use aws_sdk_sagemaker::{
    error::ProvideErrorMetadata as _,
    operation::describe_model_package::DescribeModelPackageOutput,
    types::{
        InferenceSpecification, MetricsSource, ModelApprovalStatus, ModelMetrics,
        ModelPackageContainerDefinition, ModelPackageSortBy, ModelPackageType, ModelQuality,
        ProductionVariantInstanceType, SortOrder, TransformInstanceType,
    },
};
use domain::{
    Error, Result,
    ports::{Approval, Ensured, Package, PackageSpec, Registry},
    text,
};

use super::{CSV, SageMaker, found, may_exist};
use crate::failure::failed;

/// Metadata key of the training job that made the model.
const TRAINING_JOB: &str = "training_job";
/// How long a registration may take until a change is one of its own, seconds.
const REGISTERING_S: i64 = 60;
/// Most characters of an approval's description.
const MAX_DESCRIPTION: usize = 1024;
/// Packages that a list shows at once, at most.
const PAGE: i32 = 100;
/// General-purpose and compute types that a model of a few megabytes needs at most.
const TRANSFORM_TYPES: [&str; 4] = [
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.c5.xlarge",
    "ml.c5.2xlarge",
];
const REALTIME_TYPES: [&str; 6] = [
    "ml.t2.medium",
    "ml.t2.large",
    "ml.m5.large",
    "ml.m5.xlarge",
    "ml.c5.large",
    "ml.c5.xlarge",
];

impl SageMaker {
    async fn has_group(&self, group: &str) -> Result<bool> {
        let answer = self
            .client
            .describe_model_package_group()
            .model_package_group_name(group)
            .send()
            .await;
        let doing = format!("reading the model package group {group}");
        found(answer, doing, "sagemaker:DescribeModelPackageGroup").map(|group| group.is_some())
    }

    async fn describe(&self, arn: &str) -> Result<Option<DescribeModelPackageOutput>> {
        let answer = self
            .client
            .describe_model_package()
            .model_package_name(arn)
            .send()
            .await;
        let doing = format!("reading the model package {arn}");
        found(answer, &doing, "sagemaker:DescribeModelPackage")
    }
}

impl Registry for SageMaker {
    async fn ensure_group(&self, group: &str) -> Result<Ensured> {
        if self.has_group(group).await? {
            return Ok(Ensured::AlreadySo);
        }
        let answer = self
            .client
            .create_model_package_group()
            .model_package_group_name(group)
            .model_package_group_description("Retail demand forecasting models")
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Ensured::Made),
            Err(error) if may_exist(error.code()) && self.has_group(group).await? => {
                Ok(Ensured::AlreadySo)
            }
            Err(error) => Err(failed(
                format!("making the model package group {group}"),
                "sagemaker:CreateModelPackageGroup",
                error,
            )),
        }
    }

    /// A list shows descriptions, which begin with the training job's name, and no metadata: only what is
    /// described so is read, and the rest of the group, which others may have registered in, needn't be
    /// readable.
    async fn package_of(&self, group: &str, training_job: &str) -> Result<Option<Package>> {
        let mut summaries = self
            .client
            .list_model_packages()
            .model_package_group_name(group)
            .model_package_type(ModelPackageType::Versioned)
            .sort_by(ModelPackageSortBy::CreationTime)
            .sort_order(SortOrder::Descending)
            .max_results(PAGE)
            .into_paginator()
            .items()
            .send();
        while let Some(summary) = summaries.next().await {
            let doing = format!("listing the model packages of {group}");
            let Some(summary) = found(summary, doing, "sagemaker:ListModelPackages")? else {
                return Ok(None);
            };
            let described = summary.model_package_description().unwrap_or_default();
            let Some(arn) = summary
                .model_package_arn()
                .filter(|_| described.split(' ').next() == Some(training_job))
            else {
                continue;
            };
            // Deleted between the list and the reading: not the one.
            let Some(package) = self.describe(arn).await? else {
                continue;
            };
            let metadata = package.customer_metadata_properties();
            let job = metadata.and_then(|metadata| metadata.get(TRAINING_JOB));
            if job.map(String::as_str) == Some(training_job) {
                return read(arn, package).map(Some);
            }
        }
        Ok(None)
    }

    async fn register(&self, spec: &PackageSpec) -> Result<String> {
        let doing = format!("registering {} in {}", spec.model_uri, spec.group);
        let training_job = spec.metadata.get(TRAINING_JOB).map(String::as_str);
        if training_job.is_none() || spec.description.split(' ').next() != training_job {
            return Err(Error::permanent(format!(
                "{doing}: metadata and description don't name the {TRAINING_JOB}, so it couldn't be found again"
            )));
        }
        let answer = self
            .client
            .create_model_package()
            .model_package_group_name(&spec.group)
            .model_package_description(&spec.description)
            .inference_specification(inference(spec))
            .model_approval_status(status(spec.approval))
            .model_metrics(metrics(&spec.metrics_uri))
            .set_customer_metadata_properties(Some(spec.metadata.clone().into_iter().collect()))
            .client_token(&spec.client_token)
            .send()
            .await
            .map_err(|error| failed(&doing, "sagemaker:CreateModelPackage", error))?;
        answer
            .model_package_arn
            .ok_or_else(|| Error::permanent(format!("{doing}: the answer has no ARN")))
    }

    async fn package(&self, arn: &str) -> Result<Option<Package>> {
        let package = self.describe(arn).await?;
        package.map(|package| read(arn, package)).transpose()
    }

    async fn reject(&self, arn: &str, reason: &str) -> Result<Ensured> {
        let doing = format!("rejecting the model package {arn}");
        let package = self
            .package(arn)
            .await?
            .ok_or_else(|| Error::permanent(format!("{doing}: the registry doesn't have it")))?;
        if package.approval == Approval::Rejected {
            return Ok(Ensured::AlreadySo);
        }
        self.client
            .update_model_package()
            .model_package_arn(arn)
            .model_approval_status(status(Approval::Rejected))
            .approval_description(text::description(reason, MAX_DESCRIPTION))
            .send()
            .await
            .map_err(|error| failed(&doing, "sagemaker:UpdateModelPackage", error))?;
        Ok(Ensured::Made)
    }
}

fn inference(spec: &PackageSpec) -> InferenceSpecification {
    InferenceSpecification::builder()
        .containers(
            ModelPackageContainerDefinition::builder()
                .image(&spec.image)
                .model_data_url(&spec.model_uri)
                .build(),
        )
        .supported_content_types(CSV)
        .supported_response_mime_types(CSV)
        .set_supported_transform_instance_types(Some(
            TRANSFORM_TYPES.map(TransformInstanceType::from).to_vec(),
        ))
        .set_supported_realtime_inference_instance_types(Some(
            REALTIME_TYPES
                .map(ProductionVariantInstanceType::from)
                .to_vec(),
        ))
        .build()
}

fn metrics(uri: &str) -> ModelMetrics {
    let statistics = MetricsSource::builder()
        .content_type("application/json")
        .s3_uri(uri)
        .build();
    ModelMetrics::builder()
        .model_quality(ModelQuality::builder().statistics(statistics).build())
        .build()
}

fn status(approval: Approval) -> ModelApprovalStatus {
    match approval {
        Approval::Approved => ModelApprovalStatus::Approved,
        Approval::Rejected => ModelApprovalStatus::Rejected,
        Approval::PendingManualApproval => ModelApprovalStatus::PendingManualApproval,
    }
}

fn read(arn: &str, package: DescribeModelPackageOutput) -> Result<Package> {
    let lacks = |what: &str| Error::permanent(format!("the model package {arn} {what}"));
    let approval = match package.model_approval_status() {
        Some(ModelApprovalStatus::Approved) => Approval::Approved,
        Some(ModelApprovalStatus::Rejected) => Approval::Rejected,
        Some(ModelApprovalStatus::PendingManualApproval) | None => Approval::PendingManualApproval,
        Some(other) => return Err(lacks(&format!("has the approval status {other}"))),
    };
    let model_uri = package
        .inference_specification()
        .and_then(|specification| specification.containers().first())
        .and_then(|container| container.model_data_url())
        .ok_or_else(|| lacks("has no container with a model artifact"))?
        .to_owned();
    let version = package
        .model_package_version()
        .and_then(|version| u32::try_from(version).ok())
        .ok_or_else(|| lacks("has no version: it belongs to no group"))?;
    let times = package.creation_time.zip(package.last_modified_time);
    let was_changed =
        times.is_some_and(|(made, changed)| changed.secs() > made.secs() + REGISTERING_S);
    Ok(Package {
        arn: package.model_package_arn.unwrap_or_else(|| arn.to_owned()),
        group: package
            .model_package_group_name
            .ok_or_else(|| lacks("belongs to no group"))?,
        version,
        approval,
        approval_description: package.approval_description,
        was_changed,
        model_uri,
        metadata: package
            .customer_metadata_properties
            .unwrap_or_default()
            .into_iter()
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stub::Stub;
    use serde_json::{Value, json};

    const URI: &str = "s3://artifacts/models/x/output/model.tar.gz";

    fn spec() -> PackageSpec {
        PackageSpec {
            group: "retail-forecast-models".to_owned(),
            description: "job-2 on data set 0a: accuracy 0.89".to_owned(),
            image: "registry/infer@sha256:ab".to_owned(),
            model_uri: URI.to_owned(),
            approval: Approval::PendingManualApproval,
            metadata: BTreeMap::from([(TRAINING_JOB.to_owned(), "job-2".to_owned())]),
            metrics_uri: "s3://artifacts/evaluations/x/evaluation_results.json".to_owned(),
            client_token: "0a".to_owned(),
        }
    }

    fn package(version: u32, job: &str) -> (u16, Value) {
        let package = json!({
            "ModelPackageArn": format!("arn:{version}"),
            "ModelPackageGroupName": "retail-forecast-models",
            "ModelPackageVersion": version,
            "ModelApprovalStatus": "Approved",
            "ApprovalDescription": "looks good",
            "CreationTime": 1_700_000_000,
            "LastModifiedTime": 1_700_000_061,
            "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": URI}]},
            "CustomerMetadataProperties": {"training_job": job}
        });
        (200, package)
    }

    fn list(versions: &[(u32, &str)], next: Option<&str>) -> (u16, Value) {
        let summaries: Vec<Value> = versions
            .iter()
            .map(|(version, description)| {
                json!({"ModelPackageArn": format!("arn:{version}"), "ModelPackageDescription": description})
            })
            .collect();
        let mut page = json!({"ModelPackageSummaryList": summaries});
        if let Some(next) = next {
            page["NextToken"] = json!(next);
        }
        (200, page)
    }

    fn missing(words: &str) -> (u16, Value) {
        (
            400,
            json!({"__type": "ValidationException", "message": words}),
        )
    }

    #[tokio::test]
    async fn a_package_is_registered_with_all_that_is_known_of_it() {
        let stub = Stub::new([(200, json!({"ModelPackageArn": "arn:1"}))]);
        let arn = SageMaker::new(&stub.context()).register(&spec()).await;
        assert_eq!(arn.unwrap(), "arn:1");
        let sent = stub.requests()[0].json();
        assert_eq!(sent["ClientToken"], "0a");
        assert_eq!(sent["ModelApprovalStatus"], "PendingManualApproval");
        assert_eq!(sent["CustomerMetadataProperties"]["training_job"], "job-2");
        assert_eq!(
            sent["ModelMetrics"]["ModelQuality"]["Statistics"],
            json!({"ContentType": "application/json", "S3Uri": spec().metrics_uri})
        );
        let inference = &sent["InferenceSpecification"];
        assert_eq!(
            inference["Containers"],
            json!([{"Image": spec().image, "ModelDataUrl": URI}])
        );
        assert_eq!(inference["SupportedContentTypes"], json!(["text/csv"]));
        assert_eq!(inference["SupportedResponseMIMETypes"], json!(["text/csv"]));
    }

    #[tokio::test]
    async fn what_could_not_be_found_again_is_not_registered() {
        let stub = Stub::new([]);
        let nameless = PackageSpec {
            description: "a model".to_owned(),
            ..spec()
        };
        let refused = SageMaker::new(&stub.context()).register(&nameless).await;
        assert!(refused.unwrap_err().to_string().contains("training_job"));
    }

    #[tokio::test]
    async fn a_group_is_made_once() {
        let stub = Stub::new([
            missing("ModelPackageGroup g does not exist."),
            (200, json!({"ModelPackageGroupArn": "arn"})),
            (200, json!({"ModelPackageGroupName": "g"})),
        ]);
        let sagemaker = SageMaker::new(&stub.context());
        assert_eq!(sagemaker.ensure_group("g").await.unwrap(), Ensured::Made);
        let again = sagemaker.ensure_group("g").await;
        assert_eq!(again.unwrap(), Ensured::AlreadySo);
    }

    #[tokio::test]
    async fn only_what_is_described_as_the_job_s_is_read_whoever_else_registers_in_the_group() {
        let odd = (
            200,
            json!({"ModelPackageArn": "arn:7", "ModelPackageVersion": 7}),
        );
        let stub = Stub::new([
            list(&[(9, "job-3 on data set 0a"), (8, "by hand")], Some("more")),
            list(
                &[
                    (7, "job-2 by hand"),
                    (6, "job-20"),
                    (5, "job-2 on data set 0a"),
                ],
                None,
            ),
            odd,
            package(5, "job-2"),
        ]);
        let sagemaker = SageMaker::new(&stub.context());
        let found = sagemaker
            .package_of("retail-forecast-models", "job-2")
            .await;
        assert_eq!(found.unwrap().unwrap().arn, "arn:5");
        assert_eq!(stub.requests()[0].json()["MaxResults"], 100);
        let read = ["DescribeModelPackage", "DescribeModelPackage"];
        assert_eq!(stub.operations()[2..], read);
    }

    #[tokio::test]
    async fn a_package_is_read_whole_and_a_missing_one_is_none() {
        let stub = Stub::new([
            package(3, "job-1"),
            missing("ModelPackage arn:4 does not exist."),
        ]);
        let sagemaker = SageMaker::new(&stub.context());
        let package = sagemaker.package("arn:3").await.unwrap().unwrap();
        assert_eq!((package.version, package.approval), (3, Approval::Approved));
        assert_eq!(package.approval_description.as_deref(), Some("looks good"));
        assert_eq!(package.model_uri, URI);
        assert!(package.was_changed);
        assert_eq!(sagemaker.package("arn:4").await.unwrap(), None);
    }
}

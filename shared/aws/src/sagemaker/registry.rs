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
};

use super::{CSV, SageMaker, found, may_exist, same};
use crate::failure::failed;

/// Metadata key of the training job that made the model.
const TRAINING_JOB: &str = "training_job";
/// Most characters of an approval's description.
const MAX_DESCRIPTION: usize = 1024;
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

    /// Reads the packages one by one, newest first, because a list shows no metadata: a repeat finds
    /// its package among the first, and a new training job reads the whole group once.
    async fn package_of(&self, group: &str, training_job: &str) -> Result<Option<Package>> {
        let mut summaries = self
            .client
            .list_model_packages()
            .model_package_group_name(group)
            .model_package_type(ModelPackageType::Versioned)
            .sort_by(ModelPackageSortBy::CreationTime)
            .sort_order(SortOrder::Descending)
            .into_paginator()
            .items()
            .send();
        while let Some(summary) = summaries.next().await {
            let doing = format!("listing the model packages of {group}");
            let Some(summary) = found(summary, doing, "sagemaker:ListModelPackages")? else {
                return Ok(None);
            };
            let Some(arn) = summary.model_package_arn() else {
                continue;
            };
            // Deleted between the list and the reading: not the one.
            if let Some(package) = self.package(arn).await?
                && package.metadata.get(TRAINING_JOB).map(String::as_str) == Some(training_job)
            {
                return Ok(Some(package));
            }
        }
        Ok(None)
    }

    async fn register(&self, spec: &PackageSpec) -> Result<String> {
        let doing = format!("registering {} in {}", spec.model_uri, spec.group);
        let training_job = spec.metadata.get(TRAINING_JOB).ok_or_else(|| {
            Error::permanent(format!("{doing}: the metadata names no {TRAINING_JOB}"))
        })?;
        self.ensure_group(&spec.group).await?;
        // The client token holds for hours only; a repeat may come after days.
        if let Some(package) = self.package_of(&spec.group, training_job).await? {
            let artifact = ("artifact", package.model_uri, spec.model_uri.clone());
            same(&format!("model package {}", package.arn), &[artifact])?;
            return Ok(package.arn);
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
        let answer = self
            .client
            .describe_model_package()
            .model_package_name(arn)
            .send()
            .await;
        let doing = format!("reading the model package {arn}");
        let package = found(answer, &doing, "sagemaker:DescribeModelPackage")?;
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
            .approval_description(reason.chars().take(MAX_DESCRIPTION).collect::<String>())
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
    Ok(Package {
        arn: package.model_package_arn.unwrap_or_else(|| arn.to_owned()),
        group: package
            .model_package_group_name
            .ok_or_else(|| lacks("belongs to no group"))?,
        version,
        approval,
        approval_description: package.approval_description,
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
            description: "accuracy 0.89".to_owned(),
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
            "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": URI}]},
            "CustomerMetadataProperties": {"training_job": job}
        });
        (200, package)
    }

    fn list(versions: &[u32], next: Option<&str>) -> (u16, Value) {
        let summaries: Vec<Value> = versions
            .iter()
            .map(|version| json!({"ModelPackageArn": format!("arn:{version}")}))
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
    async fn a_package_is_registered_once_in_a_group_that_is_made() {
        let stub = Stub::new([
            missing("ModelPackageGroup g does not exist."),
            (200, json!({"ModelPackageGroupArn": "arn"})),
            list(&[], None),
            (200, json!({"ModelPackageArn": "arn:1"})),
        ]);
        let arn = SageMaker::new(&stub.context()).register(&spec()).await;
        assert_eq!(arn.unwrap(), "arn:1");
        let sent = stub.requests()[3].json();
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
    async fn a_repeat_finds_the_package_on_a_later_page() {
        let stub = Stub::new([
            (200, json!({"ModelPackageGroupName": "g"})),
            list(&[9], Some("more")),
            package(9, "job-3"),
            list(&[8, 7], None),
            package(8, "job-2"),
        ]);
        let arn = SageMaker::new(&stub.context()).register(&spec()).await;
        assert_eq!(arn.unwrap(), "arn:8");
        assert!(!stub.operations().contains(&"CreateModelPackage".to_owned()));
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
        assert_eq!(sagemaker.package("arn:4").await.unwrap(), None);
    }
}

//! Batch transforms.

use aws_sdk_sagemaker::{
    error::ProvideErrorMetadata as _,
    operation::describe_transform_job::DescribeTransformJobOutput,
    types::{
        AssemblyType, BatchStrategy, S3DataType, SplitType, TransformDataSource, TransformInput,
        TransformInstanceType, TransformJobStatus, TransformOutput, TransformResources,
        TransformS3DataSource,
    },
};
use domain::{
    Error, Result,
    ports::{Ensured, JobStatus, TransformJob, TransformSpec, Transforms},
};

use super::{CSV, SageMaker, found, models::Parts, same, tags};
use crate::failure::failed;

impl SageMaker {
    async fn describe_transform(&self, name: &str) -> Result<Option<DescribeTransformJobOutput>> {
        let answer = self
            .client
            .describe_transform_job()
            .transform_job_name(name)
            .send()
            .await;
        found(
            answer,
            format!("reading the transform job {name}"),
            "sagemaker:DescribeTransformJob",
        )
    }
}

impl Transforms for SageMaker {
    async fn ensure_transform(&self, spec: &TransformSpec) -> Result<Ensured> {
        let parts = Parts::Artifact {
            image: &spec.image,
            model_uri: &spec.model_uri,
            environment: &spec.environment,
        };
        self.ensure_model(&spec.model_name, &parts, &spec.role_arn, &spec.tags)
            .await?;
        let answer = self
            .client
            .create_transform_job()
            .transform_job_name(&spec.name)
            .model_name(&spec.model_name)
            .batch_strategy(BatchStrategy::MultiRecord)
            .transform_input(input(&spec.input))
            .transform_output(
                TransformOutput::builder()
                    .s3_output_path(&spec.output)
                    .set_kms_key_id(spec.key_arn.clone())
                    .accept(CSV)
                    .assemble_with(AssemblyType::Line)
                    .build(),
            )
            .transform_resources(
                TransformResources::builder()
                    .instance_type(TransformInstanceType::from(spec.instance_type.as_str()))
                    .instance_count(1)
                    .build(),
            )
            .set_tags(Some(tags(&spec.tags)))
            .send()
            .await;
        let Err(refused) = answer else {
            return Ok(Ensured::Made);
        };
        let doing = format!("starting the transform job {}", spec.name);
        if refused.code() != Some("ResourceInUse") {
            return Err(failed(doing, "sagemaker:CreateTransformJob", refused));
        }
        let Some(job) = self.describe_transform(&spec.name).await? else {
            return Err(Error::transient(format!(
                "{doing}: the name is used, but there is no such job yet or any more"
            )));
        };
        let property = |name, found: Option<&str>, asked: &str| {
            (name, found.unwrap_or_default().to_owned(), asked.to_owned())
        };
        let source = job
            .transform_input()
            .and_then(|input| input.data_source())
            .and_then(|source| source.s3_data_source())
            .and_then(|source| source.s3_uri());
        let output = job
            .transform_output()
            .and_then(|output| output.s3_output_path());
        same(
            &format!("transform job {}", spec.name),
            &[
                property("model", job.model_name(), &spec.model_name),
                property("input", source, &spec.input),
                property("output", output, &spec.output),
            ],
        )
    }

    async fn transform(&self, name: &str) -> Result<Option<TransformJob>> {
        let Some(job) = self.describe_transform(name).await? else {
            return Ok(None);
        };
        let status = match job.transform_job_status() {
            Some(TransformJobStatus::InProgress) => JobStatus::InProgress,
            Some(TransformJobStatus::Completed) => JobStatus::Completed,
            Some(TransformJobStatus::Failed) => JobStatus::Failed,
            Some(TransformJobStatus::Stopping) => JobStatus::Stopping,
            Some(TransformJobStatus::Stopped) => JobStatus::Stopped,
            other => {
                return Err(Error::transient(format!(
                    "reading the transform job {name}: its status is {}",
                    other.map_or("missing", TransformJobStatus::as_str)
                )));
            }
        };
        Ok(Some(TransformJob {
            name: name.to_owned(),
            status,
            failure_reason: job.failure_reason,
        }))
    }
}

fn input(uri: &str) -> TransformInput {
    let source = TransformS3DataSource::builder()
        .s3_data_type(S3DataType::S3Prefix)
        .s3_uri(uri)
        .build();
    TransformInput::builder()
        .data_source(
            TransformDataSource::builder()
                .s3_data_source(source)
                .build(),
        )
        .content_type(CSV)
        .split_type(SplitType::Line)
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stub::Stub;
    use domain::Class;
    use serde_json::{Value, json};

    fn spec() -> TransformSpec {
        TransformSpec {
            name: "retail-forecast-build-1-candidate".to_owned(),
            model_name: "retail-forecast-0a".to_owned(),
            image: "registry/infer@sha256:ab".to_owned(),
            model_uri: "s3://artifacts/models/x/output/model.tar.gz".to_owned(),
            environment: BTreeMap::from([("DRAIN_S".to_owned(), "1".to_owned())]),
            role_arn: "arn:aws:iam::1:role/sagemaker-exec-role".to_owned(),
            input: "s3://artifacts/datasets/0a/features/rows.csv".to_owned(),
            output: "s3://artifacts/predictions/x/".to_owned(),
            key_arn: Some("arn:aws:kms:r:1:key/data".to_owned()),
            instance_type: "ml.m5.large".to_owned(),
            tags: BTreeMap::new(),
        }
    }

    fn missing() -> (u16, Value) {
        (
            400,
            json!({"__type": "ValidationException", "message": "Could not find model \"m\"."}),
        )
    }

    fn model(image: &str) -> (u16, Value) {
        let container = json!({"Image": image, "ModelDataUrl": spec().model_uri, "Environment": spec().environment});
        (
            200,
            json!({"ModelName": "m", "PrimaryContainer": container}),
        )
    }

    fn job(input: &str) -> (u16, Value) {
        let spec = spec();
        let job = json!({
            "ModelName": spec.model_name,
            "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": input}}},
            "TransformOutput": {"S3OutputPath": spec.output}
        });
        (200, job)
    }

    #[tokio::test]
    async fn a_transform_reads_and_writes_lines_of_csv() {
        let stub = Stub::new([missing(), (200, json!({})), (200, json!({}))]);
        let made = SageMaker::new(&stub.context())
            .ensure_transform(&spec())
            .await;
        assert_eq!(made.unwrap(), Ensured::Made);
        assert_eq!(
            stub.operations(),
            ["DescribeModel", "CreateModel", "CreateTransformJob"]
        );
        let container = &stub.requests()[1].json()["PrimaryContainer"];
        assert_eq!(container["Environment"], json!({"DRAIN_S": "1"}));
        let sent = stub.requests()[2].json();
        assert_eq!(sent["BatchStrategy"], "MultiRecord");
        assert_eq!(sent["TransformInput"]["SplitType"], "Line");
        assert_eq!(sent["TransformInput"]["ContentType"], "text/csv");
        assert_eq!(sent["TransformOutput"]["AssembleWith"], "Line");
        assert_eq!(
            sent["TransformOutput"]["KmsKeyId"],
            "arn:aws:kms:r:1:key/data"
        );
        assert_eq!(sent["TransformOutput"]["Accept"], "text/csv");
    }

    #[tokio::test]
    async fn a_repeat_finds_its_own_work_and_never_somebody_else_s() {
        let used = || (400, json!({"__type": "ResourceInUse", "Message": "used"}));
        let refused = (
            400,
            json!({"__type": "ValidationException", "message": "Cannot create already existing model"}),
        );
        let stub = Stub::new([
            // The model appears between reading and making.
            missing(),
            refused,
            model(&spec().image),
            used(),
            job(&spec().input),
            // The job is there with another input.
            model(&spec().image),
            used(),
            job("s3://artifacts/other.csv"),
            // The model is there with another image, then with other variables.
            model("registry/infer@sha256:cd"),
            (
                200,
                json!({"ModelName": "m", "PrimaryContainer": {"Image": spec().image, "ModelDataUrl": spec().model_uri}}),
            ),
        ]);
        let sagemaker = SageMaker::new(&stub.context());
        let again = sagemaker.ensure_transform(&spec()).await;
        assert_eq!(again.unwrap(), Ensured::AlreadySo);
        for property in ["input", "image", "environment"] {
            let error = sagemaker.ensure_transform(&spec()).await.unwrap_err();
            assert_eq!(error.class(), Class::Permanent);
            assert!(
                error.to_string().contains(&format!("its {property} is")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_denied_read_is_not_taken_for_a_missing_job() {
        let denied =
            json!({"__type": "AccessDeniedException", "Message": "job does not exist for you"});
        let failed = json!({"TransformJobStatus": "Failed", "FailureReason": "ClientError"});
        let stub = Stub::new([(400, denied), (200, failed)]);
        let sagemaker = SageMaker::new(&stub.context());
        let error = sagemaker.transform("x").await.unwrap_err();
        assert!(
            error.to_string().contains("sagemaker:DescribeTransformJob"),
            "{error}"
        );
        let job = sagemaker.transform("x").await.unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Failed);
        assert_eq!(job.failure_reason.as_deref(), Some("ClientError"));
    }
}

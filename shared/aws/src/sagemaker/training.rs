//! Training jobs.

use aws_sdk_sagemaker::{
    error::ProvideErrorMetadata as _,
    operation::describe_training_job::DescribeTrainingJobOutput,
    types::{
        AlgorithmSpecification, Channel as SdkChannel, DataSource, OutputDataConfig,
        ResourceConfig, S3DataDistribution, S3DataSource, S3DataType, StoppingCondition,
        TrainingInputMode, TrainingInstanceType, TrainingJobStatus,
    },
};
use domain::{
    Error, Result,
    ports::{Channel, Ensured, JobStatus, Training, TrainingJob, TrainingSpec},
};

use super::{CSV, SageMaker, found, number, pairs, same, tags};
use crate::failure::failed;

impl SageMaker {
    async fn describe_training(&self, name: &str) -> Result<Option<DescribeTrainingJobOutput>> {
        let answer = self
            .client
            .describe_training_job()
            .training_job_name(name)
            .send()
            .await;
        found(
            answer,
            format!("reading the training job {name}"),
            "sagemaker:DescribeTrainingJob",
        )
    }
}

impl Training for SageMaker {
    async fn ensure_training(&self, spec: &TrainingSpec) -> Result<Ensured> {
        let answer = self
            .client
            .create_training_job()
            .training_job_name(&spec.name)
            .role_arn(&spec.role_arn)
            .algorithm_specification(
                AlgorithmSpecification::builder()
                    .training_image(&spec.image)
                    .training_input_mode(TrainingInputMode::File)
                    .build(),
            )
            .set_input_data_config(Some(spec.channels.iter().map(channel).collect()))
            .output_data_config(
                OutputDataConfig::builder()
                    .s3_output_path(&spec.output)
                    .set_kms_key_id(spec.key_arn.clone())
                    .build(),
            )
            .set_hyper_parameters(Some(spec.hyperparameters.clone().into_iter().collect()))
            .resource_config(
                ResourceConfig::builder()
                    .instance_type(TrainingInstanceType::from(spec.instance_type.as_str()))
                    .instance_count(1)
                    .volume_size_in_gb(number("training volume", spec.volume_gb)?)
                    .build(),
            )
            .stopping_condition(
                StoppingCondition::builder()
                    .max_runtime_in_seconds(number("training time limit", spec.max_runtime_s)?)
                    .build(),
            )
            .set_tags(Some(tags(&spec.tags)))
            .send()
            .await;
        let Err(refused) = answer else {
            return Ok(Ensured::Made);
        };
        let doing = format!("starting the training job {}", spec.name);
        if refused.code() != Some("ResourceInUse") {
            let action = "sagemaker:CreateTrainingJob, and iam:PassRole on the execution role";
            return Err(failed(doing, action, refused));
        }
        let Some(job) = self.describe_training(&spec.name).await? else {
            return Err(Error::transient(format!(
                "{doing}: the name is used, but there is no such job yet or any more"
            )));
        };
        let image = job
            .algorithm_specification()
            .and_then(|algorithm| algorithm.training_image())
            .unwrap_or_default();
        let hyperparameters = job.hyper_parameters().into_iter().flatten();
        same(
            &format!("training job {}", spec.name),
            &[
                ("image", image.to_owned(), spec.image.clone()),
                ("data", listed(&channels(&job)), listed(&spec.channels)),
                (
                    "hyperparameters",
                    pairs(hyperparameters),
                    pairs(&spec.hyperparameters),
                ),
            ],
        )
    }

    async fn training(&self, name: &str) -> Result<Option<TrainingJob>> {
        let Some(job) = self.describe_training(name).await? else {
            return Ok(None);
        };
        let status = match job.training_job_status() {
            Some(TrainingJobStatus::InProgress) => JobStatus::InProgress,
            Some(TrainingJobStatus::Completed) => JobStatus::Completed,
            Some(TrainingJobStatus::Failed) => JobStatus::Failed,
            Some(TrainingJobStatus::Stopping) => JobStatus::Stopping,
            Some(TrainingJobStatus::Stopped) => JobStatus::Stopped,
            // `Deleting` passes; a status newer than this code may, too.
            other => {
                return Err(Error::transient(format!(
                    "reading the training job {name}: its status is {}",
                    other.map_or("missing", TrainingJobStatus::as_str)
                )));
            }
        };
        // A time limit stops a job without a failure reason; the secondary status says so.
        let stopped = || {
            let secondary = job.secondary_status()?;
            (status == JobStatus::Stopped).then(|| secondary.as_str().to_owned())
        };
        Ok(Some(TrainingJob {
            name: name.to_owned(),
            status,
            failure_reason: job.failure_reason().map(str::to_owned).or_else(stopped),
            channels: channels(&job),
            model_uri: job
                .model_artifacts()
                .and_then(|artifacts| artifacts.s3_model_artifacts())
                .map(str::to_owned),
            hyperparameters: job
                .hyper_parameters
                .unwrap_or_default()
                .into_iter()
                .collect(),
        }))
    }
}

fn channel(channel: &Channel) -> SdkChannel {
    let source = S3DataSource::builder()
        .s3_data_type(S3DataType::S3Prefix)
        .s3_data_distribution_type(S3DataDistribution::FullyReplicated)
        .s3_uri(&channel.uri)
        .build();
    SdkChannel::builder()
        .channel_name(&channel.name)
        .content_type(CSV)
        .input_mode(TrainingInputMode::File)
        .data_source(DataSource::builder().s3_data_source(source).build())
        .build()
}

fn channels(job: &DescribeTrainingJobOutput) -> Vec<Channel> {
    let channel = |channel: &SdkChannel| Channel {
        name: channel.channel_name().unwrap_or_default().to_owned(),
        uri: channel
            .data_source()
            .and_then(|source| source.s3_data_source())
            .and_then(|source| source.s3_uri())
            .unwrap_or_default()
            .to_owned(),
    };
    job.input_data_config().iter().map(channel).collect()
}

fn listed(channels: &[Channel]) -> String {
    pairs(channels.iter().map(|channel| (&channel.name, &channel.uri)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::stub::Stub;
    use domain::Class;
    use serde_json::{Value, json};

    fn spec() -> TrainingSpec {
        TrainingSpec {
            name: "retail-forecast-build-1".to_owned(),
            image: "registry/train@sha256:ab".to_owned(),
            role_arn: "arn:aws:iam::1:role/sagemaker-exec-role".to_owned(),
            channels: vec![Channel {
                name: "train".to_owned(),
                uri: "s3://artifacts/datasets/0a/train/".to_owned(),
            }],
            output: "s3://artifacts/models/".to_owned(),
            key_arn: Some("arn:aws:kms:r:1:key/data".to_owned()),
            hyperparameters: BTreeMap::from([("max_depth".to_owned(), "10".to_owned())]),
            instance_type: "ml.m5.large".to_owned(),
            volume_gb: 30,
            max_runtime_s: 3600,
            tags: BTreeMap::from([("Project".to_owned(), "RetailForecast".to_owned())]),
        }
    }

    fn job(depth: &str) -> Value {
        json!({
            "TrainingJobName": "retail-forecast-build-1",
            "TrainingJobStatus": "Stopped",
            "SecondaryStatus": "MaxRuntimeExceeded",
            "AlgorithmSpecification": {"TrainingImage": "registry/train@sha256:ab", "TrainingInputMode": "File"},
            "HyperParameters": {"max_depth": depth},
            "InputDataConfig": [{
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3Uri": "s3://artifacts/datasets/0a/train/", "S3DataType": "S3Prefix"}}
            }],
            "ModelArtifacts": {"S3ModelArtifacts": "s3://artifacts/models/x/output/model.tar.gz"}
        })
    }

    fn used() -> (u16, Value) {
        (
            400,
            json!({"__type": "ResourceInUse", "Message": "Training job names must be unique"}),
        )
    }

    #[tokio::test]
    async fn a_job_is_asked_for_as_the_owner_wants_it() {
        let stub = Stub::new([(200, json!({"TrainingJobArn": "arn"}))]);
        let made = SageMaker::new(&stub.context())
            .ensure_training(&spec())
            .await;
        assert_eq!(made.unwrap(), Ensured::Made);
        let sent = stub.requests()[0].json();
        assert_eq!(
            sent["InputDataConfig"][0],
            json!({
                "ChannelName": "train",
                "ContentType": "text/csv",
                "InputMode": "File",
                "DataSource": {"S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3DataDistributionType": "FullyReplicated",
                    "S3Uri": "s3://artifacts/datasets/0a/train/"
                }}
            })
        );
        assert_eq!(
            sent["OutputDataConfig"],
            json!({"S3OutputPath": "s3://artifacts/models/", "KmsKeyId": "arn:aws:kms:r:1:key/data"})
        );
        assert_eq!(sent["ResourceConfig"]["InstanceCount"], 1);
        assert_eq!(sent["StoppingCondition"]["MaxRuntimeInSeconds"], 3600);
        assert_eq!(
            sent["Tags"][0],
            json!({"Key": "Project", "Value": "RetailForecast"})
        );
    }

    #[tokio::test]
    async fn a_used_name_is_fine_for_the_same_job_only() {
        let stub = Stub::new([used(), (200, job("10")), used(), (200, job("12"))]);
        let sagemaker = SageMaker::new(&stub.context());
        let again = sagemaker.ensure_training(&spec()).await;
        assert_eq!(again.unwrap(), Ensured::AlreadySo);
        let other = sagemaker.ensure_training(&spec()).await.unwrap_err();
        assert_eq!(other.class(), Class::Permanent);
        assert!(
            other
                .to_string()
                .contains("hyperparameters is `max_depth=12`, not `max_depth=10`"),
            "{other}"
        );
    }

    #[tokio::test]
    async fn a_job_is_read_with_the_reason_why_it_stopped() {
        let stub = Stub::new([
            (200, job("10")),
            (
                400,
                json!({"__type": "ValidationException", "message": "Requested resource not found."}),
            ),
        ]);
        let sagemaker = SageMaker::new(&stub.context());
        let job = sagemaker.training("x").await.unwrap().unwrap();
        assert_eq!(job.status, JobStatus::Stopped);
        assert_eq!(job.failure_reason.as_deref(), Some("MaxRuntimeExceeded"));
        assert_eq!(job.channels, spec().channels);
        assert_eq!(job.hyperparameters["max_depth"], "10");
        assert_eq!(sagemaker.training("y").await.unwrap(), None);
    }
}

//! Requests for training jobs: what is checked, and what a run reads from them.

use serde_json::Value;

use crate::{error::ApiError, input::Input, names::is_channel, store::S3Uri};

/// Longest a job may run when the request doesn't say, in seconds.
const MAX_RUNTIME: i64 = 86_400;
/// Members that this stand-in leaves out.
const LEFT_OUT: [&str; 13] = [
    "AlgorithmSpecification.AlgorithmName",
    "AlgorithmSpecification.ContainerEntrypoint",
    "AlgorithmSpecification.ContainerArguments",
    "ResourceConfig.InstanceGroups",
    "ResourceConfig.KeepAlivePeriodInSeconds",
    "CheckpointConfig",
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ServerlessJobConfig",
    "ModelPackageConfig",
    "MlflowConfig",
    "StoppingCondition.MaxWaitTimeInSeconds",
];

/// Refuses what is wrong and what is left out.
pub(super) fn check(input: &Input) -> Result<(), ApiError> {
    input
        .checks()
        .required("TrainingJobName")
        .name("TrainingJobName")
        .required("AlgorithmSpecification")
        .one_of(
            "AlgorithmSpecification.TrainingInputMode",
            &["Pipe", "File", "FastFile"],
        )
        .length("AlgorithmSpecification.TrainingImage", 255)
        .required("RoleArn")
        .role("RoleArn")
        .required("OutputDataConfig")
        .required("OutputDataConfig.S3OutputPath")
        .s3_uri("OutputDataConfig.S3OutputPath")
        .length("OutputDataConfig.KmsKeyId", 2_048)
        .required("ResourceConfig")
        .required("ResourceConfig.InstanceType")
        .between("ResourceConfig.InstanceCount", 1, i64::MAX)
        .between("ResourceConfig.VolumeSizeInGB", 1, i64::MAX)
        .between("StoppingCondition.MaxRuntimeInSeconds", 1, i64::MAX)
        .length("HyperParameters", 100)
        .length("Environment", 100)
        .length("InputDataConfig", 20)
        .length("Tags", 50)
        .finish()?;
    input.without(&LEFT_OUT)?;
    input.required("AlgorithmSpecification.TrainingImage")?;
    input.only("AlgorithmSpecification.TrainingInputMode", "File")?;
    input.only("OutputDataConfig.CompressionType", "GZIP")?;
    if input.integer("ResourceConfig.InstanceCount").unwrap_or(1) > 1 {
        return Err(ApiError::left_out("jobs on more than one instance"));
    }
    let mut seen = Vec::new();
    for channel in input.list("InputDataConfig") {
        let name = channel["ChannelName"].as_str().unwrap_or_default();
        if !is_channel(name) || seen.contains(&name) {
            return Err(ApiError::validation(format!(
                "1 validation error detected: Value '{name}' at 'inputDataConfig.channelName' failed \
                 to satisfy constraint: Member must be unique and satisfy regular expression \
                 pattern: [A-Za-z0-9\\.\\-_]+"
            )));
        }
        seen.push(name);
        let source = &channel["DataSource"]["S3DataSource"];
        let offered = |value: &Value, only: &str| value.is_null() || value == only;
        if source["S3DataType"] != "S3Prefix"
            || !offered(&source["S3DataDistributionType"], "FullyReplicated")
            || !offered(&channel["CompressionType"], "None")
            || !offered(&channel["RecordWrapperType"], "None")
            || !offered(&channel["InputMode"], "File")
        {
            return Err(ApiError::left_out(
                "input data other than plain S3Prefix, FullyReplicated, in File mode",
            ));
        }
        if source["S3Uri"].as_str().and_then(S3Uri::parse).is_none() {
            return Err(ApiError::validation(format!(
                "1 validation error detected: the S3Uri of channel '{name}' is not an S3 URI"
            )));
        }
    }
    Ok(())
}

/// A channel of input data.
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) content_type: Option<String>,
    pub(super) data: S3Uri,
}

/// The channels of a checked request.
pub(super) fn channels(input: &Input) -> Vec<Channel> {
    input
        .list("InputDataConfig")
        .iter()
        .filter_map(|channel| {
            Some(Channel {
                name: channel["ChannelName"].as_str()?.to_owned(),
                content_type: channel["ContentType"].as_str().map(str::to_owned),
                data: S3Uri::parse(channel["DataSource"]["S3DataSource"]["S3Uri"].as_str()?)?,
            })
        })
        .collect()
}

/// Seconds a job may run.
pub(super) fn max_runtime(input: &Input) -> u64 {
    let seconds = input.integer("StoppingCondition.MaxRuntimeInSeconds");
    u64::try_from(seconds.unwrap_or(MAX_RUNTIME)).unwrap_or(0)
}

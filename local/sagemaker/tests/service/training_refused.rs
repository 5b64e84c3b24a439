//! Requests for training jobs that are refused, in AWS's words.

use serde_json::{Value, json};

use crate::training::{cloud, request};

#[tokio::test]
async fn bad_requests_are_refused() -> anyhow::Result<()> {
    let cloud = cloud().await?;
    let refusal = cloud
        .refused("CreateTrainingJob", request("bad_name", "trainer"))
        .await?;
    assert_eq!(refusal.code, "ValidationException");
    assert!(refusal.message.starts_with(
        "1 validation error detected: Value 'bad_name' at 'trainingJobName' failed to satisfy constraint"
    ));
    let mut no_role = request("job", "trainer");
    no_role["RoleArn"] = Value::Null;
    let refusal = cloud.refused("CreateTrainingJob", no_role).await?;
    assert!(
        refusal.message.contains("Value null at 'roleArn'"),
        "{}",
        refusal.message
    );

    let mut escaping = request("job", "trainer");
    escaping["InputDataConfig"][0]["ChannelName"] = json!("..");
    assert_eq!(
        cloud.refused("CreateTrainingJob", escaping).await?.code,
        "ValidationException"
    );

    let mut many = request("job", "trainer");
    many["ResourceConfig"]["InstanceCount"] = json!(2);
    assert!(
        cloud
            .refused("CreateTrainingJob", many)
            .await?
            .message
            .contains("doesn't offer")
    );

    let mut odd = request("job", "trainer");
    odd["Tags"] = json!([{"Key": "CreatedBy", "Value": "Ann O'Neil, ops"}]);
    let refusal = cloud.refused("CreateTrainingJob", odd).await?;
    assert!(
        refusal.message.contains("regular expression pattern"),
        "{}",
        refusal.message
    );

    for operation in ["DescribeTrainingJob", "StopTrainingJob"] {
        let refusal = cloud
            .refused(operation, json!({"TrainingJobName": "unknown"}))
            .await?;
        assert_eq!(refusal.code, "ValidationException");
        assert_eq!(refusal.message, "Requested resource not found.");
    }
    Ok(())
}

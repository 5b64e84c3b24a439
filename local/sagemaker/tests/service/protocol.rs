//! The wire itself.

use serde_json::{Value, json};

use crate::support::Cloud;

#[tokio::test]
async fn an_unknown_operation_is_named() -> anyhow::Result<()> {
    let cloud = Cloud::start().await?;
    let refusal = cloud.refused("CreateNotebookInstance", json!({})).await?;
    assert_eq!(refusal.code, "UnknownOperationException");
    assert!(refusal.message.contains("CreateNotebookInstance"));
    Ok(())
}

#[tokio::test]
async fn an_unsigned_call_is_refused() -> anyhow::Result<()> {
    let cloud = Cloud::start().await?;
    let request = cloud
        .http
        .post(&cloud.url)
        .header("x-amz-target", "SageMaker.ListModels");
    let answer = request.body("{}").send().await?;
    assert_eq!(answer.status(), 403);
    assert_eq!(
        answer.headers()["content-type"],
        "application/x-amz-json-1.1"
    );
    let body: Value = serde_json::from_str(&answer.text().await?)?;
    assert_eq!(body["__type"], "MissingAuthenticationTokenException");
    Ok(())
}

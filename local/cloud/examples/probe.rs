//! A function for the cloud's own tests: it does what the event's detail asks for, with the
//! credentials and addresses that Lambda gave it, and notes what came of it in a bucket.
//!
//! `detail.note` names the object to write the outcome to; `detail.fail` fails the message;
//! `detail.call` is `{"service", "target", "body"}`, an AWS JSON call at that service's address.
//! What didn't come through a queue is only logged.

use std::env;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use local_wire::{Credentials, Wire};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let mut failures = Vec::new();
    if event.payload.get("Records").is_none() {
        println!("invoked with {}", event.payload);
    }
    for record in event.payload["Records"].as_array().into_iter().flatten() {
        let message: Value = serde_json::from_str(record["body"].as_str().unwrap_or_default())?;
        println!("received {}", message["detail"]);
        if message["detail"]["fail"] == json!(true) {
            failures.push(json!({"itemIdentifier": record["messageId"]}));
            continue;
        }
        act(&message, &record["attributes"]).await?;
    }
    Ok(json!({"batchItemFailures": failures}))
}

/// `attributes` are those that SQS gives a message.
async fn act(message: &Value, attributes: &Value) -> Result<(), Error> {
    let detail = &message["detail"];
    let outcome = match detail.get("call") {
        Some(call) => call_out(call).await?,
        None => json!({"event": message, "environment": env::vars().collect::<Vec<_>>()}),
    };
    if let Some(key) = detail["note"].as_str() {
        let bucket = env::var("ARTIFACTS_BUCKET")?;
        let noted =
            json!({"outcome": outcome, "source": message["source"], "attributes": attributes});
        wire("S3")?.s3_put(&bucket, key, noted.to_string()).await?;
    }
    Ok(())
}

async fn call_out(call: &Value) -> Result<Value, Error> {
    let text = |field: &str| call[field].as_str().unwrap_or_default();
    let wire = wire(&text("service").to_uppercase())?;
    let answer = wire
        .json(text("service"), text("target"), call["body"].clone())
        .await;
    Ok(match answer {
        Ok(answer) => json!({"answer": answer}),
        Err(error) => json!({"error": error.to_string(), "code": error.code()}),
    })
}

fn wire(service: &str) -> Result<Wire, Error> {
    let endpoint = env::var(format!("AWS_ENDPOINT_URL_{service}"))
        .or_else(|_| env::var("AWS_ENDPOINT_URL"))?;
    let credentials = Credentials {
        access_key_id: env::var("AWS_ACCESS_KEY_ID")?,
        secret_access_key: env::var("AWS_SECRET_ACCESS_KEY")?,
        session_token: env::var("AWS_SESSION_TOKEN").ok(),
    };
    Ok(Wire::new(&endpoint, &env::var("AWS_REGION")?, credentials))
}

//! Every event of both buses, as it happens: a demonstration or a test watches the pipeline through
//! what the pipeline itself lives on.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::Cloud;

const QUEUE: &str = "tap";

/// A queue that a rule on each bus feeds with everything.
#[derive(Debug)]
pub struct Tap {
    url: String,
    waiting: VecDeque<Value>,
    /// All events seen, oldest first.
    pub seen: Vec<Value>,
}

impl Tap {
    /// Makes the queue and the two rules.
    pub async fn open(cloud: &Cloud) -> anyhow::Result<Self> {
        Self::named(cloud, QUEUE).await
    }

    /// The same for another who watches, in a queue of this name.
    pub async fn named(cloud: &Cloud, queue: &str) -> anyhow::Result<Self> {
        let wire = cloud.wire();
        let place = cloud.place();
        let made = wire
            .json("sqs", "AmazonSQS.CreateQueue", json!({"QueueName": queue}))
            .await?;
        let url = made["QueueUrl"]
            .as_str()
            .context("CreateQueue answered no QueueUrl")?
            .to_owned();
        let arn = format!("arn:aws:sqs:{}:{}:{queue}", place.region, place.account);
        for bus in ["default", &place.event_bus()] {
            let pattern = json!({"account": [{"exists": true}]}).to_string();
            let rule = json!({"Name": queue, "EventBusName": bus, "EventPattern": pattern});
            wire.json("events", "AWSEvents.PutRule", rule).await?;
            let targets =
                json!({"Rule": queue, "EventBusName": bus, "Targets": [{"Id": queue, "Arn": arn}]});
            wire.json("events", "AWSEvents.PutTargets", targets).await?;
        }
        Ok(Self {
            url,
            waiting: VecDeque::new(),
            seen: vec![],
        })
    }

    /// The next event; `None` when none came until the deadline.
    pub async fn next(
        &mut self,
        cloud: &Cloud,
        deadline: Instant,
    ) -> anyhow::Result<Option<Value>> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.seen.push(event.clone());
                return Ok(Some(event));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            self.receive(cloud).await?;
            if self.waiting.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Whether what was seen at this place was announced before: what is told of one fact has one id, and
    /// a function that sees the fact twice announces it twice.
    pub fn is_repeated(&self, at: usize) -> bool {
        let id = |event: &Value| (event["detail-type"].clone(), event["detail"]["id"].clone());
        let Some(event) = self.seen.get(at) else {
            return false;
        };
        let mut earlier = self.seen.iter().take(at);
        event["detail"]["id"].is_string() && earlier.any(|other| id(other) == id(event))
    }

    async fn receive(&mut self, cloud: &Cloud) -> anyhow::Result<()> {
        let wire = cloud.wire();
        let body = json!({"QueueUrl": self.url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
        let answer = wire.json("sqs", "AmazonSQS.ReceiveMessage", body).await?;
        for message in answer["Messages"].as_array().into_iter().flatten() {
            let text = message["Body"]
                .as_str()
                .context("a message without a body")?;
            self.waiting.push_back(serde_json::from_str(text)?);
            let done = json!({"QueueUrl": self.url, "ReceiptHandle": message["ReceiptHandle"]});
            wire.json("sqs", "AmazonSQS.DeleteMessage", done).await?;
        }
        Ok(())
    }

    /// Delivers an event that was seen once more, with the same content.
    pub async fn again(cloud: &Cloud, event: &Value) -> anyhow::Result<()> {
        let (Some(source), Some(detail_type)) =
            (event["source"].as_str(), event["detail-type"].as_str())
        else {
            bail!("an event without source and detail-type: {event}");
        };
        if source.starts_with("aws.") {
            return cloud.deliver(event.clone()).await;
        }
        cloud
            .put_event(
                &cloud.place().event_bus(),
                source,
                detail_type,
                &event["detail"],
            )
            .await
    }
}

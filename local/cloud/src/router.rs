//! Takes the events of the stand-ins' services to the deployed rules.
//!
//! The emulator takes no events whose source is AWS's own, but it judges them: each rule's pattern is
//! tested there, and the event is sent to the rule's queue as EventBridge would.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use local_wire::{BoxFuture, Deliver, Wire};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How long rules are taken for what they were: events come in bursts.
const KEEP_RULES: Duration = Duration::from_secs(1);

/// Delivers to the rules of the default bus.
#[derive(Debug)]
pub struct Router {
    wire: Wire,
    rules: Mutex<Option<(Instant, Arc<Vec<Rule>>)>>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    pattern: String,
    queues: Vec<String>,
}

impl Router {
    /// Calls go out as the emulator's root user.
    pub fn new(wire: Wire) -> Self {
        Self {
            wire,
            rules: Mutex::default(),
        }
    }

    async fn route(&self, event: &Value) -> anyhow::Result<()> {
        let rules = self.rules().await?;
        let event = event.to_string();
        let sent = rules.iter().map(|rule| self.offer(rule, &event));
        try_join_all(sent).await?;
        Ok(())
    }

    async fn rules(&self) -> anyhow::Result<Arc<Vec<Rule>>> {
        let mut kept = self.rules.lock().await;
        if let Some((read, rules)) = &*kept
            && read.elapsed() < KEEP_RULES
        {
            return Ok(Arc::clone(rules));
        }
        let rules = Arc::new(self.read_rules().await?);
        *kept = Some((Instant::now(), Arc::clone(&rules)));
        Ok(rules)
    }

    async fn offer(&self, rule: &Rule, event: &str) -> anyhow::Result<()> {
        let context = || format!("rule {}", rule.name);
        let body = json!({"EventPattern": rule.pattern, "Event": event});
        let answer = self
            .wire
            .json("events", "AWSEvents.TestEventPattern", body)
            .await;
        if answer.with_context(context)?["Result"] != json!(true) {
            return Ok(());
        }
        for queue in &rule.queues {
            let body = json!({"QueueUrl": queue, "MessageBody": event});
            let sent = self.wire.json("sqs", "AmazonSQS.SendMessage", body).await;
            sent.with_context(context)?;
        }
        Ok(())
    }

    async fn read_rules(&self) -> anyhow::Result<Vec<Rule>> {
        let mut rules = Vec::new();
        let mut next = Value::Null;
        loop {
            let mut body = json!({"EventBusName": "default"});
            if !next.is_null() {
                body["NextToken"] = next;
            }
            let page = self
                .wire
                .json("events", "AWSEvents.ListRules", body)
                .await?;
            for rule in page["Rules"].as_array().into_iter().flatten() {
                rules.extend(self.read_rule(rule).await?);
            }
            next = page["NextToken"].clone();
            if next.is_null() {
                return Ok(rules);
            }
        }
    }

    /// `None` for schedules and what is switched off.
    async fn read_rule(&self, rule: &Value) -> anyhow::Result<Option<Rule>> {
        let name = rule["Name"]
            .as_str()
            .context("a rule without a name")?
            .to_owned();
        let pattern = rule["EventPattern"].as_str().unwrap_or_default().to_owned();
        if pattern.is_empty() || rule["State"] != json!("ENABLED") {
            return Ok(None);
        }
        let body = json!({"EventBusName": "default", "Rule": name});
        let targets = self
            .wire
            .json("events", "AWSEvents.ListTargetsByRule", body)
            .await?;
        let targets = targets["Targets"].as_array().into_iter().flatten();
        let queues: Result<_, _> = targets.map(|target| self.queue_url(target)).collect();
        let queues = queues.with_context(|| format!("rule {name}"))?;
        Ok(Some(Rule {
            name,
            pattern,
            queues,
        }))
    }

    fn queue_url(&self, target: &Value) -> anyhow::Result<String> {
        let arn = target["Arn"].as_str().context("a target without an ARN")?;
        if ["Input", "InputPath", "InputTransformer"]
            .iter()
            .any(|key| target.get(key).is_some())
        {
            bail!("target {arn} changes its input, which isn't done here");
        }
        match arn.split(':').collect::<Vec<_>>()[..] {
            ["arn", _, "sqs", _, account, queue] => {
                Ok(format!("{}/{account}/{queue}", self.wire.endpoint()))
            }
            _ => bail!("target {arn} is not a queue"),
        }
    }
}

impl Deliver for Router {
    fn deliver(&self, event: Value) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.route(&event)
                .await
                .map_err(|error| format!("{error:#}"))
        })
    }
}

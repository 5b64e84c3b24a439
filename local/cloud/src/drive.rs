//! What a demonstration or a test does to a cloud and sees of it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use local_wire::{Deliver as _, ImageSpec, Method, S3Object};
use serde_json::{Value, json};

use crate::{
    Cloud, deploy,
    image::{self, Findings},
    plan::FunctionPlan,
};

/// A message of the alerts topic, as a person gets it by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Subject line.
    pub subject: String,
    /// Text.
    pub message: String,
}

/// How many messages wait where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depths {
    /// To be received.
    pub waiting: u64,
    /// Received, and not yet done or back.
    pub in_flight: u64,
    /// Given up.
    pub dead: u64,
}

impl Depths {
    /// Nothing waits, nothing is under way.
    pub fn is_idle(self) -> bool {
        self.waiting == 0 && self.in_flight == 0
    }
}

/// Longest the messages looked at stay hidden from the next look, seconds.
const LOOK_S: u32 = 1;

impl Cloud {
    /// Puts an object into the data bucket, which tells EventBridge.
    pub async fn upload(&self, key: &str, body: impl Into<Bytes>) -> anyhow::Result<()> {
        Ok(self
            .wire()
            .s3_put(&self.place().data_bucket(), key, body)
            .await?)
    }

    /// An object; `None` when there is none.
    pub async fn object(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Bytes>> {
        Ok(self.wire().s3_get(bucket, key).await?)
    }

    /// Objects whose key starts with `prefix`, in key order.
    pub async fn objects(&self, bucket: &str, prefix: &str) -> anyhow::Result<Vec<S3Object>> {
        Ok(self.wire().s3_list(bucket, prefix).await?)
    }

    /// Puts an event on a bus.
    pub async fn put_event(
        &self,
        bus: &str,
        source: &str,
        detail_type: &str,
        detail: &Value,
    ) -> anyhow::Result<()> {
        let entry = json!({
            "EventBusName": bus,
            "Source": source,
            "DetailType": detail_type,
            "Detail": detail.to_string(),
        });
        let body = json!({"Entries": [entry]});
        let answer = self
            .wire()
            .json("events", "AWSEvents.PutEvents", body)
            .await?;
        if answer["FailedEntryCount"] != json!(0) {
            bail!("PutEvents: {}", answer["Entries"][0]);
        }
        Ok(())
    }

    /// Delivers a whole envelope to the default bus's rules as if an AWS service had emitted it.
    pub async fn deliver(&self, event: Value) -> anyhow::Result<()> {
        self.around
            .router
            .deliver(event)
            .await
            .map_err(anyhow::Error::msg)
    }

    /// Invokes a function and waits for its answer, past its queue.
    pub async fn send_direct(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let name = &self.function(function)?.name;
        let path = format!("/2015-03-31/functions/{name}/invocations");
        let headers = [("content-type", "application/json")];
        let answer = self
            .wire()
            .rest("lambda", Method::POST, &path, &headers, event.to_string())
            .await?;
        let payload: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.headers.contains_key("x-amz-function-error") {
            bail!("{function} failed: {payload}");
        }
        Ok(payload)
    }

    /// Puts a message into a function's queue.
    pub async fn enqueue(&self, function: &str, body: &Value) -> anyhow::Result<()> {
        let queue = self.queue_url(&self.function(function)?.queue.name);
        let message = json!({"QueueUrl": queue, "MessageBody": body.to_string()});
        self.wire()
            .json("sqs", "AmazonSQS.SendMessage", message)
            .await?;
        Ok(())
    }

    /// All a function wrote to its log, in order, with Lambda's own lines.
    pub async fn logs(&self, function: &str) -> anyhow::Result<Vec<String>> {
        let group = format!("/aws/lambda/{}", self.function(function)?.name);
        let body = json!({"logGroupName": group});
        match self
            .wire()
            .json("logs", "Logs_20140328.FilterLogEvents", body)
            .await
        {
            Ok(answer) => Ok(answer["events"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|event| event["message"].as_str().map(str::to_owned))
                .collect()),
            // It hasn't run yet.
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// How full a function's queues are.
    pub async fn depths(&self, function: &str) -> anyhow::Result<Depths> {
        let plan = self.function(function)?;
        let (waiting, in_flight) = self.depth(&plan.queue.name).await?;
        let (dead, dead_in_flight) = self.depth(&plan.dead_letters.name).await?;
        Ok(Depths {
            waiting,
            in_flight,
            dead: dead + dead_in_flight,
        })
    }

    /// Bodies of a function's dead letters. They stay where they are, but another look within a
    /// second doesn't see them.
    pub async fn dead_letters(&self, function: &str) -> anyhow::Result<Vec<String>> {
        let queue = self.queue_url(&self.function(function)?.dead_letters.name);
        let messages = self.receive_all(&queue).await?;
        Ok(messages.into_iter().map(|message| message.body).collect())
    }

    /// All alerts since the start, oldest first.
    pub async fn inbox(&self) -> anyhow::Result<Vec<Alert>> {
        let mut inbox = self.inbox.lock().await;
        let queue = self.queue_url(self.place().alerts_inbox());
        for message in self.receive_all(&queue).await? {
            let body: Value = serde_json::from_str(&message.body).context("an alert")?;
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            let done = json!({"QueueUrl": queue, "ReceiptHandle": message.receipt});
            self.wire()
                .json("sqs", "AmazonSQS.DeleteMessage", done)
                .await?;
            inbox.push(Alert {
                subject: text("Subject"),
                message: text("Message"),
            });
        }
        Ok(inbox.clone())
    }

    /// Pushes an image whose programs are on this machine and answers its digest. What follows on
    /// AWS follows here: the push is announced, the image is scanned.
    pub async fn push_image(
        &self,
        repository: &str,
        tags: &[&str],
        spec: &ImageSpec,
        findings: &Findings,
    ) -> anyhow::Result<String> {
        let wire = self.wire().at(&self.addresses().ecr);
        image::push(&wire, repository, tags, spec, findings).await
    }

    /// Pushes the `train` and `serve` that were built into `folder`, tagged for this environment.
    pub async fn push_built_images(&self, folder: &Path) -> anyhow::Result<()> {
        self.push_built_image(folder, true).await?;
        self.push_built_image(folder, false).await
    }

    /// Pushes one of the two: the one that trains, or the one that serves.
    pub async fn push_built_image(&self, folder: &Path, trains: bool) -> anyhow::Result<()> {
        let tag = format!("latest-{}", self.place().environment);
        let (repository, train, serve) = if trains {
            ("retail-forecast-train", Some(folder.join("train")), None)
        } else {
            ("retail-forecast-infer", None, Some(folder.join("serve")))
        };
        let spec = ImageSpec {
            train,
            serve,
            environment: BTreeMap::new(),
        };
        self.push_image(repository, &[&tag, "build-1"], &spec, &Findings::new())
            .await?;
        Ok(())
    }

    /// Calls CloudWatch as the cloud's root user: `PutMetricAlarm`, `PutMetricData`, with their
    /// input as the API has it.
    pub async fn cloudwatch(&self, operation: &str, input: Value) -> anyhow::Result<Value> {
        let wire = self.wire().at(&self.addresses().cloudwatch);
        let target = format!("{}.{operation}", local_alarms::TARGET);
        Ok(wire
            .json(local_alarms::SIGNING_NAME, &target, input)
            .await?)
    }

    /// An alarm as `DescribeAlarms` gives it; `None` when there is none.
    pub async fn alarm(&self, name: &str) -> anyhow::Result<Option<Value>> {
        let input = json!({"AlarmNames": [name]});
        let answer = self.cloudwatch("DescribeAlarms", input).await?;
        Ok(answer["MetricAlarms"].get(0).cloned())
    }

    /// Changes variables of a deployed function, as a later deployment of the project would.
    pub async fn set_variables(
        &self,
        function: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let plan = self.function(function)?;
        let mut all = plan.limits.environment.clone();
        all.extend(
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let path = format!("/2015-03-31/functions/{}/configuration", plan.name);
        let headers = [("content-type", "application/json")];
        let body = json!({"Environment": {"Variables": all}}).to_string();
        self.wire()
            .rest("lambda", Method::PUT, &path, &headers, body)
            .await?;
        Ok(())
    }

    /// Gives a role another policy, as a later deployment of the project would.
    pub async fn set_policy(&self, role: &str, policy: &Value) -> anyhow::Result<()> {
        deploy::role_policy(self.wire(), role, policy).await?;
        self.identity().forget(role).await;
        Ok(())
    }

    /// Approves a model package, as a person does who looked at it.
    pub async fn approve_package(&self, arn: &str) -> anyhow::Result<()> {
        let body = json!({"ModelPackageArn": arn, "ModelApprovalStatus": "Approved"});
        let wire = self.wire().at(&self.addresses().sagemaker);
        wire.json("sagemaker", "SageMaker.UpdateModelPackage", body)
            .await?;
        Ok(())
    }

    /// A client of the cluster that may do everything.
    pub async fn kubernetes(&self) -> anyhow::Result<kube::Client> {
        self.services.kubernetes().await
    }

    /// The Deployments and `ReplicaSets` of the environment, each with its generation: a rollout that
    /// changes nothing a person sees changes these.
    pub async fn workloads(&self) -> anyhow::Result<Vec<String>> {
        let client = self.kubernetes().await?;
        let mut workloads = vec![];
        for kind in ["Deployment", "ReplicaSet"] {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
            let namespace = &self.around.namespace;
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &resource);
            for object in api.list(&ListParams::default()).await? {
                let generation = object.metadata.generation.unwrap_or_default();
                let name = object.metadata.name.unwrap_or_default();
                workloads.push(format!("{kind} {name}, generation {generation}"));
            }
        }
        workloads.sort();
        Ok(workloads)
    }

    /// Version of the cluster (`1.36`).
    pub fn kubernetes_version(&self) -> &str {
        self.services.kubernetes_version()
    }

    /// A kubeconfig of the cluster's administrator, for `kubectl`.
    pub fn kubeconfig(&self) -> String {
        self.services.kubeconfig()
    }

    /// A function as deployed.
    pub fn function(&self, function: &str) -> anyhow::Result<&FunctionPlan> {
        self.functions
            .get(function)
            .with_context(|| format!("no function is called {function}"))
    }

    /// Names of the deployed functions, as the project calls them.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    fn queue_url(&self, queue: &str) -> String {
        format!(
            "{}/{}/{queue}",
            self.wire().endpoint(),
            self.place().account
        )
    }

    async fn depth(&self, queue: &str) -> anyhow::Result<(u64, u64)> {
        let visible = "ApproximateNumberOfMessages";
        let hidden = "ApproximateNumberOfMessagesNotVisible";
        let body = json!({"QueueUrl": self.queue_url(queue), "AttributeNames": [visible, hidden]});
        let answer = self
            .wire()
            .json("sqs", "AmazonSQS.GetQueueAttributes", body)
            .await?;
        let count = |name: &str| -> anyhow::Result<u64> {
            let count = answer["Attributes"][name].as_str();
            Ok(count
                .with_context(|| format!("{queue} has no {name}"))?
                .parse()?)
        };
        Ok((count(visible)?, count(hidden)?))
    }

    async fn receive_all(&self, queue: &str) -> anyhow::Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let body = json!({
                "QueueUrl": queue,
                "MaxNumberOfMessages": 10,
                "VisibilityTimeout": LOOK_S,
                "WaitTimeSeconds": 0,
            });
            let answer = self
                .wire()
                .json("sqs", "AmazonSQS.ReceiveMessage", body)
                .await?;
            let Some(page) = answer["Messages"]
                .as_array()
                .filter(|page| !page.is_empty())
            else {
                return Ok(messages);
            };
            for message in page {
                let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
                messages.push(Message {
                    body: text("Body"),
                    receipt: text("ReceiptHandle"),
                });
            }
        }
    }
}

struct Message {
    body: String,
    receipt: String,
}

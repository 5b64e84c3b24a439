//! What SageMaker tells EventBridge.
//!
//! Envelopes and details follow the documentation's samples, with two differences: `time` is ISO
//! 8601 in every envelope (the sample of the endpoint event has epoch milliseconds), and `source` is
//! the text `aws.sagemaker` (the sample of the package event has it a second time, as a list). On
//! AWS both are set by EventBridge, which has one form for them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use local_wire::Deliver;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{names::Names, tasks::Tasks, time::iso};

/// Pauses between tries to deliver an event: the first, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A training job entered a status or secondary status.
    TrainingJob,
    /// A transform job entered a status.
    TransformJob,
    /// A model package was registered or updated.
    ModelPackage,
    /// An endpoint entered a status.
    Endpoint,
}

impl Subject {
    fn detail_type(self) -> &'static str {
        match self {
            Self::TrainingJob => "SageMaker Training Job State Change",
            Self::TransformJob => "SageMaker Transform Job State Change",
            Self::ModelPackage => "SageMaker Model Package State Change",
            Self::Endpoint => "SageMaker Endpoint State Change",
        }
    }
}

/// Takes events to the rules, however often that fails, without anyone waiting for it. Events are
/// delivered side by side, so they may arrive in another order than they happened in, as on AWS.
#[derive(Clone)]
pub(crate) struct Outbox {
    deliver: Arc<dyn Deliver>,
    names: Names,
    tasks: Arc<Tasks>,
}

impl Outbox {
    /// An outbox to `deliver`.
    pub(crate) fn new(deliver: Arc<dyn Deliver>, names: Names, tasks: Arc<Tasks>) -> Self {
        Self {
            deliver,
            names,
            tasks,
        }
    }

    /// Sends an event about the resource `arn`.
    pub(crate) fn send(&self, subject: Subject, arn: &str, detail: &Value) {
        let event = json!({
            "version": "0",
            "id": Uuid::new_v4().to_string(),
            "detail-type": subject.detail_type(),
            "source": "aws.sagemaker",
            "account": self.names.account,
            "time": iso(Timestamp::now()),
            "region": self.names.region,
            "resources": [arn],
            "detail": detail,
        });
        let deliver = Arc::clone(&self.deliver);
        self.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while let Err(reason) = deliver.deliver(event.clone()).await {
                tracing::warn!(
                    event = %event["id"],
                    detail_type = subject.detail_type(),
                    reason,
                    retry_in_ms = pause.as_millis(),
                    "an event couldn't be delivered"
                );
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        });
    }
}

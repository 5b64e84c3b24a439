//! An endpoint: its status, its variants, and how both are shown.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fleet::Fleet;
use crate::{
    paging::Row,
    time::{Format, epoch_milliseconds, epoch_seconds},
};

/// The statuses of the API, for filters; the last three never occur here.
pub(super) const STATUSES: [&str; 9] = [
    "Creating",
    "InService",
    "Updating",
    "RollingBack",
    "Deleting",
    "Failed",
    "OutOfService",
    "SystemUpdating",
    "UpdateRollbackFailed",
];

/// Status of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Its first containers are coming up.
    Creating,
    /// It answers.
    InService,
    /// It answers, while other containers are coming up.
    Updating,
    /// Its update failed, and what served before takes all calls again.
    RollingBack,
    /// It is going away.
    Deleting,
    /// It never came up; it can only be deleted.
    Failed,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::InService => "InService",
            Self::Updating => "Updating",
            Self::RollingBack => "RollingBack",
            Self::Deleting => "Deleting",
            Self::Failed => "Failed",
        }
    }

    /// Events shout.
    fn event_name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::InService => "IN_SERVICE",
            Self::Updating => "UPDATING",
            Self::RollingBack => "ROLLING_BACK",
            Self::Deleting => "DELETING",
            Self::Failed => "FAILED",
        }
    }

    pub(super) fn in_progress(self) -> bool {
        matches!(
            self,
            Self::Creating | Self::Updating | Self::RollingBack | Self::Deleting
        )
    }
}

/// A variant in service.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) count: u64,
    pub(super) weight: f64,
    pub(super) since: Timestamp,
}

/// A deployment under way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) config: String,
    pub(super) since: Timestamp,
}

/// The new containers of an update, and the share of the calls that they take.
#[derive(Debug)]
pub(super) struct Green {
    pub(super) fleet: Arc<Fleet>,
    pub(super) variants: Vec<Variant>,
    /// 0 to 1.
    pub(super) share: f64,
}

/// An endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) arn: String,
    pub(super) name: String,
    pub(super) status: Status,
    /// The configuration in service, or the first one asked for.
    pub(super) config: String,
    pub(super) pending: Option<Pending>,
    /// Empty until the endpoint first came up.
    pub(super) variants: Vec<Variant>,
    /// Shared with the requests under way, so that the processes of an old configuration end when
    /// its last answer is given.
    pub(super) fleet: Option<Arc<Fleet>>,
    /// While an update bakes.
    pub(super) green: Option<Green>,
    pub(super) failure: Option<String>,
    pub(super) deployment: Option<Value>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}

impl Endpoint {
    pub(super) fn new(
        arn: String,
        name: String,
        config: String,
        deployment: Option<Value>,
    ) -> Self {
        let now = Timestamp::now();
        Self {
            arn,
            name,
            status: Status::Creating,
            pending: Some(Pending {
                config: config.clone(),
                since: now,
            }),
            config,
            variants: Vec::new(),
            fleet: None,
            green: None,
            failure: None,
            deployment,
            created: now,
            modified: now,
        }
    }

    pub(super) fn enter(&mut self, status: Status) {
        self.status = status;
        self.modified = Timestamp::now();
    }

    /// The containers of the next call, with their variants; `None` until the endpoint first came up.
    pub(super) fn next(&self) -> Option<(&Arc<Fleet>, &[Variant])> {
        let fleet = self.fleet.as_ref()?;
        match &self.green {
            Some(green) if fleet.point() < green.share => Some((&green.fleet, &green.variants)),
            _ => Some((fleet, &self.variants)),
        }
    }

    fn fields(&self, time: Format) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("EndpointName", json!(self.name));
        set("EndpointArn", json!(self.arn));
        set("EndpointConfigName", json!(self.config));
        set("CreationTime", time(self.created));
        set("LastModifiedTime", time(self.modified));
        if let Some(reason) = &self.failure {
            set("FailureReason", json!(reason));
        }
        if !self.variants.is_empty() {
            let variants = self.variants.iter().map(|variant| {
                json!({
                    "VariantName": variant.name,
                    "DeployedImages": [{
                        "SpecifiedImage": variant.image,
                        "ResolvedImage": variant.image,
                        "ResolutionTime": time(variant.since),
                    }],
                    "CurrentWeight": variant.weight,
                    "DesiredWeight": variant.weight,
                    "CurrentInstanceCount": variant.count,
                    "DesiredInstanceCount": variant.count,
                })
            });
            set("ProductionVariants", variants.collect());
        }
        fields
    }

    pub(super) fn describe(&self) -> Value {
        let mut fields = self.fields(epoch_seconds);
        fields.insert("EndpointStatus".to_owned(), json!(self.status.name()));
        if let Some(deployment) = &self.deployment {
            fields.insert("LastDeploymentConfig".to_owned(), deployment.clone());
        }
        if let Some(pending) = &self.pending {
            let summary = json!({
                "EndpointConfigName": pending.config,
                "StartTime": epoch_seconds(pending.since),
            });
            fields.insert("PendingDeploymentSummary".to_owned(), summary);
        }
        Value::Object(fields)
    }

    /// The detail of an event, without tags.
    pub(super) fn detail(&self) -> Map<String, Value> {
        let mut fields = self.fields(epoch_milliseconds);
        fields.insert("EndpointStatus".to_owned(), json!(self.status.event_name()));
        fields
            .entry("ProductionVariants")
            .or_insert_with(|| json!([]));
        fields
    }

    pub(super) fn row(&self) -> Row {
        Row {
            arn: self.arn.clone(),
            name: self.name.clone(),
            status: self.status.name(),
            created: self.created,
            modified: self.modified,
            summary: json!({
                "EndpointName": self.name,
                "EndpointArn": self.arn,
                "CreationTime": epoch_seconds(self.created),
                "LastModifiedTime": epoch_seconds(self.modified),
                "EndpointStatus": self.status.name(),
            }),
        }
    }
}

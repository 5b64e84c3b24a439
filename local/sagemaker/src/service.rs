//! The service: what it was given, what it knows, and what every operation needs of both.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use local_wire::{Authorize, Caller, Images, Watch};
use serde_json::Value;

use crate::{
    Config,
    error::ApiError,
    events::Outbox,
    hosting::{configs::EndpointConfig, endpoint::Endpoint, meter::Meter},
    input::Input,
    jobs::{training::TrainingJob, transform::TransformJob},
    models::Model,
    names::Names,
    process,
    registry::{groups::Group, packages::Packages},
    store::Stores,
    tags::TagSet,
    tasks::Tasks,
};

/// Everything that was created. It lives in memory only.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) training_jobs: BTreeMap<String, TrainingJob>,
    pub(crate) transform_jobs: BTreeMap<String, TransformJob>,
    pub(crate) models: BTreeMap<String, Model>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) packages: Packages,
    pub(crate) endpoint_configs: BTreeMap<String, EndpointConfig>,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    /// By ARN.
    pub(crate) tags: BTreeMap<String, TagSet>,
}

impl State {
    /// Tags of a resource, as events show them.
    pub(crate) fn tags_of(&self, arn: &str) -> Value {
        self.tags
            .get(arn)
            .map_or_else(|| serde_json::json!({}), |tags| serde_json::json!(tags))
    }
}

/// The SageMaker of one account in one region.
pub(crate) struct Service {
    pub(crate) names: Names,
    pub(crate) stores: Arc<dyn Stores>,
    pub(crate) images: Arc<dyn Images>,
    pub(crate) watch: Arc<dyn Watch>,
    pub(crate) meter: Meter,
    pub(crate) outbox: Outbox,
    pub(crate) tasks: Arc<Tasks>,
    /// Talks to the programs of images.
    pub(crate) http: reqwest::Client,
    authorize: Arc<dyn Authorize>,
    state_dir: PathBuf,
    works: AtomicU64,
    state: Mutex<State>,
}

impl Service {
    /// A service with nothing in it. Work folders that an earlier, killed one left are removed.
    pub(crate) fn new(config: Config) -> anyhow::Result<Self> {
        process::remove(&config.state_dir.join("work"))?;
        std::fs::create_dir_all(config.state_dir.join("jobs"))?;
        let names = Names {
            region: config.region,
            account: config.account,
        };
        let tasks = Arc::new(Tasks::default());
        Ok(Self {
            outbox: Outbox::new(config.deliver, names.clone(), Arc::clone(&tasks)),
            names,
            stores: config.stores,
            images: config.images,
            watch: config.watch,
            meter: Meter::default(),
            tasks,
            http: reqwest::Client::builder()
                .no_proxy()
                .tcp_nodelay(true)
                .build()?,
            authorize: config.authorize,
            state_dir: std::path::absolute(config.state_dir)?,
            works: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// What exists. Never held across an await.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses unless IAM lets `caller` do `action` (`sagemaker:CreateModel`) with `resource`.
    pub(crate) async fn allow(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
    ) -> Result<(), ApiError> {
        let checked = self.authorize.check(caller, action, resource).await;
        checked.map_err(|refused| ApiError::denied(refused.0))
    }

    /// What a create operation must be allowed besides the creation: tagging, passing the role.
    pub(crate) async fn allow_with(
        &self,
        caller: &Caller,
        input: &Input,
        arn: &str,
        role: Option<&str>,
    ) -> Result<(), ApiError> {
        if !input.list("Tags").is_empty() {
            self.allow(caller, "sagemaker:AddTags", arn).await?;
        }
        if let Some(role) = role {
            self.allow(caller, "iam:PassRole", role).await?;
        }
        Ok(())
    }

    /// A new folder to be `/opt/ml` for `label`. Each has its own, since an endpoint can run the same
    /// configuration twice while it changes over.
    pub(crate) fn work_path(&self, label: &str) -> PathBuf {
        let number = self.works.fetch_add(1, Ordering::Relaxed);
        let name = format!("{label}-{number}");
        self.state_dir.join("work").join(name)
    }

    /// Where the output of `label` is kept.
    pub(crate) fn log_path(&self, label: &str) -> PathBuf {
        self.state_dir.join("jobs").join(format!("{label}.log"))
    }
}

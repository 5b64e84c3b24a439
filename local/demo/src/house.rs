//! The clouds that scenes are played on, all alike.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use local_cloud::{Cloud, Denied, Options, RealCluster, StateFolder, real};
use tokio::sync::{Mutex, mpsc};

use crate::data::{Least, Uploads};

/// What the demonstration sets otherwise than a deployment on AWS.
pub(crate) const SETTINGS: &str = "verify-release and judge-canary look again after 1 s instead of 10 s; a canary bakes for 20 s instead of 600 s, measured in periods of 10 s instead of 60 s, and until it answered 100 requests instead of 50; alarms have 3 periods of 10 s instead of 60 s, and the API publishes its metrics every 5 s instead of 60 s; endpoint updates bake for 20 s instead of 300 s, under alarms of 1 period of 10 s instead of 2 of 60 s, on metrics of every 5 s instead of 60 s";

/// What clouds are started from.
pub(crate) struct House {
    project_root: PathBuf,
    /// Where the programs are.
    pub(crate) bins: PathBuf,
    pub(crate) uploads: Uploads,
    /// A cluster that is run by others.
    real: Option<RealCluster>,
    /// One at a time: of two that start at the same moment one may take the port that the other has just
    /// found free.
    starting: Mutex<()>,
}

/// A cloud that is up.
pub(crate) struct Open {
    pub(crate) cloud: Cloud,
    /// The cloud's files, which go when this does.
    _state: StateFolder,
}

impl Open {
    /// Ends it and waits until all of it is gone.
    pub(crate) async fn close(self) {
        self.cloud.stop().await;
    }
}

impl House {
    /// `data` is a file of sales; generated ones when there is none.
    pub(crate) fn new(project_root: &Path, data: Option<&Path>) -> anyhow::Result<Self> {
        let least = Least::read(project_root)?;
        let uploads = match data {
            Some(path) => Uploads::read(path, &least)?,
            None => Uploads::generated(&least)?,
        };
        let bins = std::env::current_exe()?;
        Ok(Self {
            project_root: project_root.to_owned(),
            bins: bins.parent().context("the program's folder")?.to_owned(),
            uploads,
            real: real::from_environment()?,
            starting: Mutex::default(),
        })
    }

    /// Starts a cloud. `denials` is told of what is denied, if anybody wants to know.
    pub(crate) async fn open(
        &self,
        denials: Option<mpsc::UnboundedSender<Denied>>,
    ) -> anyhow::Result<Open> {
        let _one = self.starting.lock().await;
        let state = StateFolder::new().context("a folder for the cloud's state")?;
        let mut options = Options::new(&self.project_root, state.path(), &self.bins);
        options.overrides = overrides();
        options.cluster = self.real.clone();
        options.denials = denials;
        let cloud = Cloud::start(options).await?;
        Ok(Open {
            cloud,
            _state: state,
        })
    }

    /// The cluster that is run by others, in words.
    pub(crate) fn real_cluster(&self, cloud: &Cloud) -> Option<String> {
        let real = self.real.as_ref()?;
        let (version, namespace) = (cloud.kubernetes_version(), &real.namespace);
        let endpoint = &real.endpoint;
        Some(format!(
            "deploys to Kubernetes {version} at {endpoint}, namespace {namespace}"
        ))
    }
}

/// See [`SETTINGS`].
fn overrides() -> BTreeMap<String, BTreeMap<String, String>> {
    let set = |function: &str, variables: &[(&str, &str)]| {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        (function.to_owned(), variables.collect())
    };
    BTreeMap::from([
        set(
            "deploy-release",
            &[
                ("ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIODS", "1"),
                ("ENDPOINT_BAKE_S", "20"),
                ("ENDPOINT_KEEP_OLD_S", "0"),
                ("API_ENVIRONMENT", r#"{"METRICS_PERIOD_S": "5"}"#),
            ],
        ),
        set(
            "verify-release",
            &[
                ("ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIOD_S", "10"),
                ("ENDPOINT_ALARM_PERIODS", "1"),
                ("LOOK_AGAIN_S", "1"),
            ],
        ),
        set(
            "judge-canary",
            &[
                ("CANARY_BAKE_S", "20"),
                ("CANARY_MIN_REQUESTS", "100"),
                ("CANARY_PERIOD_S", "10"),
                ("LOOK_AGAIN_S", "1"),
            ],
        ),
    ])
}

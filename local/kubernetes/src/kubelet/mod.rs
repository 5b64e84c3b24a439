//! The node: each pod of the store is run as processes of this machine.

mod container;
mod environment;
mod orphans;
mod probe;
mod process;
mod report;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use local_wire::Images;
use serde_json::Value;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};

pub(crate) use environment::PodEnvironment;

use self::{container::Container, report::Report};
use crate::{
    catalog::PODS,
    json::{items, number, text},
    pods,
    registry::{DeleteOptions, Preconditions, Registry},
    store::Key,
};

/// Signals a pod to end: the grace it has, once it is told.
type Stop = watch::Receiver<Option<Duration>>;

/// What every pod is run with.
pub(crate) struct Kubelet {
    pub(crate) registry: Arc<Registry>,
    pub(crate) images: Arc<dyn Images>,
    /// Logs and working directories: `{directory}/{namespace}/{pod}.log` and `…/{pod}/`.
    pub(crate) directory: PathBuf,
    pub(crate) environment: PodEnvironment,
    /// First wait before a crashed container is started again, and before an image is looked for
    /// again; doubles up to thirty times itself.
    pub(crate) restart_back_off: Duration,
    pub(crate) http: reqwest::Client,
    /// Its own name, as pods have it in `nodeName`.
    pub(crate) node: String,
}

/// A running pod as the kubelet holds it.
struct Running {
    stop: watch::Sender<Option<Duration>>,
    task: AbortHandle,
}

impl Kubelet {
    /// Runs pods until the task is aborted; every process goes with it.
    pub(crate) async fn run(self: Arc<Self>) {
        orphans::kill(&self.directory);
        let mut changes = self.registry.store.subscribe();
        let mut tasks = JoinSet::new();
        let mut running: BTreeMap<String, Running> = BTreeMap::new();
        loop {
            changes.mark_unchanged();
            let mut pods = self.registry.store.list(&PODS, None).0;
            pods.retain(|pod| text(pod, "/spec/nodeName") == self.node);
            running.retain(|uid, pod| {
                let kept = pods.iter().any(|pod| text(pod, "/metadata/uid") == uid);
                if !kept {
                    // Deleted without grace: its processes end with the task.
                    pod.task.abort();
                }
                kept
            });
            for pod in pods {
                let uid = text(&pod, "/metadata/uid").to_owned();
                let entry = running.entry(uid).or_insert_with(|| {
                    let (stop, stopped) = watch::channel(None);
                    let pod = run_pod(Arc::clone(&self), Arc::clone(&pod), stopped);
                    let task = tasks.spawn(pod);
                    Running { stop, task }
                });
                if pods::is_terminating(&pod) {
                    let grace = number(&pod, "/metadata/deletionGracePeriodSeconds");
                    let grace = Duration::from_secs(grace.unsigned_abs());
                    entry.stop.send_if_modified(|stop| {
                        let news = *stop != Some(grace);
                        *stop = Some(grace);
                        news
                    });
                }
            }
            while tasks.try_join_next().is_some() {}
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Where the output of a pod's containers is kept.
    pub(crate) fn log_file(directory: &Path, namespace: &str, pod: &str) -> PathBuf {
        directory.join(namespace).join(format!("{pod}.log"))
    }
}

/// Runs a pod from its first container's start to its removal from the store.
async fn run_pod(kubelet: Arc<Kubelet>, pod: Arc<Value>, mut stop: Stop) {
    let key = Key::of(&PODS, &pod);
    let report = Report::new(Arc::clone(&kubelet.registry), &pod);
    let work = kubelet.directory.join(&key.namespace).join(&key.name);
    report.scheduled();
    if let Err(error) = tokio::fs::create_dir_all(&work).await {
        tracing::error!(pod = key.name, %error, "no working directory");
    }
    let mut containers = JoinSet::new();
    for spec in items(&pod, "/spec/containers") {
        let container = Container {
            kubelet: Arc::clone(&kubelet),
            pod: Arc::clone(&pod),
            spec: spec.clone(),
            report: report.clone(),
            work: work.clone(),
        };
        containers.spawn(container.run(stop.clone()));
    }
    while containers.join_next().await.is_some() {}
    // Containers may be done before the pod is; it stays until it is deleted. An error says that
    // the kubelet is gone, and then so is the pod.
    let _ = stop.wait_for(Option::is_some).await;
    if let Err(error) = tokio::fs::remove_dir_all(&work).await {
        tracing::debug!(pod = key.name, %error, "working directory stays");
    }
    let now = DeleteOptions {
        grace_period_seconds: Some(0),
        // Another pod may have taken the name.
        preconditions: Preconditions {
            uid: Some(text(&pod, "/metadata/uid").to_owned()),
            ..Preconditions::default()
        },
        ..DeleteOptions::default()
    };
    if let Err(refused) = kubelet.registry.delete(&key, &now) {
        tracing::debug!(pod = key.name, %refused, "pod was gone");
    }
}

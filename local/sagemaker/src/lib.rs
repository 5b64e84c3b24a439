//! SageMaker on one machine: the SDK's wire protocol over jobs, models and endpoints that are
//! processes.
//!
//! The functions talk to it through the AWS SDK as they do on AWS. It answers AWS JSON 1.1 at
//! `POST /` and the runtime API at `POST /endpoints/{name}/invocations`, checks IAM on every call,
//! and emits the service events that EventBridge would get.
//!
//! # What is here
//!
//! - Training and transform jobs: create, describe, stop, list.
//! - Models, endpoint configurations, endpoints: create, describe, list, delete. Weights and instance
//!   counts can be changed.
//! - Blue/green updates of endpoints, all at once, canary or linear: the old containers serve until the
//!   new ones answer, the calls shift, each step bakes while the alarms of the update are looked at in
//!   CloudWatch with the execution role, and an alarm, a container that doesn't come up or the update's
//!   limit takes it back (`RollingBack`, then `InService` on the old configuration with the reason).
//! - What is measured of invocations, in `AWS/SageMaker` by endpoint and variant, and by configuration:
//!   `Invocations`, `Invocation4XXErrors`, `Invocation5XXErrors`, `ModelLatency`, `OverheadLatency`;
//!   every few seconds instead of every minute.
//! - Model package groups and packages: create, describe, list; packages are updated and deleted.
//! - Tags.
//!
//! An image's program runs as the container would, except that the folder that is `/opt/ml` there is
//! named by `ML_ROOT` and the port to serve on by `SERVE_PORT`.
//!
//! # What is left out
//!
//! A request for most of these is refused with a `ValidationException` that names it:
//!
//! - State is in memory: a restart forgets everything. If the stand-in is killed outright (`SIGKILL`),
//!   it can't end the programs of its jobs and endpoints; the local cloud's process group does
//!   (`local_wire::ProcessGroup`, by `ML_ROOT`). A normal shutdown ends them all.
//! - Job input: `S3Prefix` in `File` mode, uncompressed; no manifests, file systems, `Pipe` mode,
//!   sharding, network or spot settings. Jobs run on one instance.
//! - Transform: `SplitType` `None` or `Line`; no `DataProcessing`, no data capture.
//! - Hosting: one process for each production variant, whatever its instance count; no serverless,
//!   asynchronous, shadow or multi-container variants. Data capture is described back and captures
//!   nothing.
//! - Updates: no rolling ones. A share of the calls is a share of the calls, whatever the instances. A
//!   rollback takes a moment where AWS takes minutes, and always succeeds: an endpoint is never
//!   `OutOfService`, `SystemUpdating` or `UpdateRollbackFailed`. There are no `SageMaker Endpoint
//!   Deployment State Change` events, and `PendingDeploymentSummary` has no variants. An alarm's reason
//!   is in our words, since AWS documents none. A `DeploymentConfig` on creation is described back and
//!   has no effect, as on AWS.
//! - Metrics of instances (`CPUUtilization` and the like) and `InvocationsPerInstance`.
//! - A container that doesn't answer `/ping` fails after 30 s (8 min on AWS) unless the variant says
//!   otherwise, and at once when its program ends.
//! - Of execution roles: pulling images, writing logs and keys. (Passing one is checked; S3 is read and
//!   written, and alarms are looked at, as the role.)
//! - Model packages aren't validated or scanned: they are `Completed` at once. `ImageDigest` is filled
//!   in only when the image is named by digest.
//! - Quotas and throttling.

mod archive;
mod error;
mod events;
mod hosting;
mod input;
mod jobs;
mod models;
mod names;
mod paging;
mod process;
mod protocol;
mod registry;
mod service;
mod serving;
mod store;
mod tags;
mod tasks;
mod time;

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use axum::serve::ListenerExt as _;
use local_wire::{Authorize, Deliver, Images, Watch};
use tokio::{net::TcpListener, sync::oneshot};

use crate::service::Service;
pub use crate::store::{ObjectStore, StoreError, Stores};

/// Longest a shutdown waits for requests under way.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// What the stand-in is given.
pub struct Config {
    /// Region of every ARN (`ap-southeast-1`).
    pub region: String,
    /// Account of every ARN, twelve digits.
    pub account: String,
    /// Folder for work in progress (`work/`, removed with its job) and for the programs' output
    /// (`jobs/{kind}-{name}.log`, kept).
    pub state_dir: PathBuf,
    /// Where data and models are, by the role that reads and writes them.
    pub stores: Arc<dyn Stores>,
    /// Who may do what.
    pub authorize: Arc<dyn Authorize>,
    /// Where service events go.
    pub deliver: Arc<dyn Deliver>,
    /// What images run.
    pub images: Arc<dyn Images>,
    /// Where metrics go, and where updates look at their alarms.
    pub watch: Arc<dyn Watch>,
    /// How often metrics are published: a minute on AWS.
    pub metrics_period: Duration,
}

/// Serves on `listener` until `shutdown` completes, then ends every program it started.
///
/// # Errors
///
/// The state folder can't be written, or the listener fails.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let metrics_period = config.metrics_period;
    let service = Arc::new(Service::new(config)?);
    service
        .tasks
        .spawn(Arc::clone(&service).publish(metrics_period));
    // Without this, small answers wait for the peer's delayed acknowledgement, 40 ms each.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY can't be set");
        }
    });
    let (stopping, stopped) = oneshot::channel();
    let server = axum::serve(listener, protocol::router(Arc::clone(&service)))
        .with_graceful_shutdown(async move {
            shutdown.await;
            let _ = stopping.send(());
        });
    let drained = async {
        // An error means that the server is gone, which ends the wait as well.
        let _ = stopped.await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    let outcome = tokio::select! {
        outcome = server => outcome,
        () = drained => Ok(()),
    };
    service.tasks.shutdown().await;
    outcome.map_err(Into::into)
}

//! A release is written: pointer, alarms, canary or endpoint and Deployment.

use convergence::{Moved, Place, Written, confirm, idle_alarms};
use domain::{
    Class, Error, Result, converge,
    layout::Artifacts,
    ports::{Alarms, Bus, Canaries, Clock, Cluster, EndpointSpec, Endpoints, ObjectStore},
    records::{self, Versioned},
    release::Pointer,
};
use events::{
    Announced,
    announced::{CanaryStarted, DeploymentStarted, ReleaseFailed, WRITE},
};

use jiff::Timestamp;

use crate::{
    Config, NAME, Ports,
    decide::{Decision, Rollout, Strategy},
    parts,
};

/// Writes releases: its methods share what they act on.
pub(crate) struct Writer<'a, S, R, I, K, W, B, C> {
    pub(crate) config: &'a Config,
    pub(crate) ports: &'a Ports<'a, S, R, I, K, W, B, C>,
}

impl<S, R, I, K, W, B, C> Writer<'_, S, R, I, K, W, B, C>
where
    S: ObjectStore,
    R: Endpoints,
    K: Cluster + Canaries,
    W: Alarms,
    B: Bus,
    C: Clock,
{
    /// Reason, manifest, pointer, alarms, then the canary or endpoint and Deployment, announcement: each is there
    /// before the next, and each may be repeated. Answers what was announced when a write is refused for good.
    pub(crate) async fn roll_out(
        &self,
        rollout: &Rollout,
        pointer: &Versioned<Pointer>,
    ) -> Result<Option<ReleaseFailed>> {
        let aimed = if rollout.resumes {
            pointer.value.clone()
        } else {
            self.aim(rollout, pointer).await?
        };
        // What was abandoned, or failed without a way back, leaves its alarms behind.
        let target = aimed.target.as_ref();
        if let Some(left) = target.and_then(|target| target.left_over.as_ref()) {
            self.forget(left).await?;
        }
        let begun = self.begin(rollout).await;
        self.unless_refused(rollout, begun).await
    }

    /// Keeps the reason and the manifest, then moves the pointer; answers it.
    async fn aim(&self, rollout: &Rollout, pointer: &Versioned<Pointer>) -> Result<Pointer> {
        let (store, artifacts) = (self.ports.store, self.config.artifacts());
        let (release, reason) = (&rollout.release, &rollout.reason);
        records::keep_decision(store, &artifacts, NAME, release, rollout).await?;
        records::write(store, &artifacts.release(release), &rollout.manifest).await?;
        let now = self.ports.clock.now();
        let version = parts::version(&rollout.manifest.model.package_arn);
        let approval = rollout.approved_at.map(|at| (at, version));
        let next = pointer
            .value
            .aim(release, now, rollout.caused_at, reason)
            .built_by(rollout.build.clone())
            .begun_by(rollout.begun_by.clone())
            .approved(approval);
        let next = match rollout.strategy {
            Strategy::Rolling { .. } => next,
            Strategy::Canary { pods, of } => next.try_out(pods, of),
        };
        let at = artifacts.pointer(&self.config.environment);
        records::swap(store, &at, pointer, &next).await?;
        Ok(next)
    }

    /// The candidate's alarms, then its canary or all pods.
    async fn begin(&self, rollout: &Rollout) -> Result<()> {
        let Rollout {
            release,
            manifest,
            reason,
            ..
        } = rollout;
        for alarm in self.config.alarms.candidate(release) {
            self.ports.alarms.ensure_alarm(&alarm).await?;
        }
        match rollout.strategy {
            Strategy::Rolling { .. } => self.all_pods(rollout).await,
            Strategy::Canary { pods, of } => {
                let patch = converge::deployment(release, manifest, reason)?;
                let generation = self.ports.cluster.ensure_canary(&patch, pods).await?;
                self.still(release, Written::Canary).await?;
                let started = CanaryStarted {
                    release: release.clone(),
                    generation,
                    pods,
                    of,
                    cause: reason.clone(),
                    caused_at: rollout.caused_at,
                };
                self.ports
                    .bus
                    .announce(&Announced::CanaryStarted(started).announcement()?)
                    .await
            }
        }
    }

    /// The endpoint's alarms, endpoint, Deployment, announcement.
    pub(crate) async fn all_pods(&self, rollout: &Rollout) -> Result<()> {
        let Rollout {
            release,
            manifest,
            reason,
            ..
        } = rollout;
        let endpoint = converge::endpoint(&self.config.endpoint, &self.config.role_arn, manifest)?;
        let watching = self.config.endpoint_alarms.of(&endpoint.config);
        for alarm in &watching {
            self.ports.alarms.ensure_alarm(alarm).await?;
        }
        let endpoint = EndpointSpec {
            update: Some(self.config.endpoint_update.watched_by(&watching)),
            ..endpoint
        };
        self.ports.sagemaker.ensure_endpoint(&endpoint).await?;
        let generation = self
            .ports
            .cluster
            .apply(
                &converge::deployment(release, manifest, reason)?,
                rollout.take_over,
            )
            .await?;
        self.still(release, Written::AllPods).await?;
        let started = DeploymentStarted {
            release: release.clone(),
            generation,
            cause: reason.clone(),
            caused_at: Some(rollout.caused_at),
        };
        self.ports
            .bus
            .announce(&Announced::DeploymentStarted(started).announcement()?)
            .await
    }

    /// Whether the pointer still says what was written. When it doesn't, the event is decided again.
    async fn still(&self, release: &str, written: Written) -> Result<()> {
        let confirmed = self.confirmed(release, written).await?;
        confirmed.map_err(Error::from)
    }

    /// The same; when the pointer says something else, that is written again, and the alarms of a candidate that
    /// isn't one any more go.
    pub(crate) async fn confirmed(
        &self,
        release: &str,
        written: Written,
    ) -> Result<std::result::Result<(), Moved>> {
        let artifacts = self.config.artifacts();
        let place = place(self.config, &artifacts);
        let targets = (self.ports.store, self.ports.sagemaker, self.ports.cluster);
        let confirmed = confirm(&place, targets, release, written).await;
        // What couldn't be written again yet is when the message comes back; then nobody knows this release any more.
        if !matches!(confirmed, Ok(Ok(()))) {
            self.forget(release).await?;
        }
        confirmed
    }

    /// Removes a release's own alarms, as far as the pointer doesn't need them any more.
    pub(crate) async fn forget(&self, release: &str) -> Result<()> {
        let artifacts = self.config.artifacts();
        let pointer = records::pointer(self.ports.store, &artifacts, &self.config.environment)
            .await?
            .value;
        let of = (&artifacts, self.config.alarms.namespace.as_str());
        let idle = idle_alarms(of, self.ports.store, &pointer, release).await?;
        self.ports.alarms.remove_alarms(&idle).await
    }

    /// What is refused for good ends the deployment: the pointer says so, and `roll-back` hears of it. Answers
    /// what was announced then.
    pub(crate) async fn unless_refused(
        &self,
        rollout: &Rollout,
        wrote: Result<()>,
    ) -> Result<Option<ReleaseFailed>> {
        let error = match wrote {
            Ok(()) => return Ok(None),
            Err(error) if error.class() == Class::Permanent => error,
            Err(error) => return Err(error),
        };
        let refused = ReleaseFailed {
            release: rollout.release.clone(),
            stage: WRITE.to_owned(),
            reason: error.chain(),
            build: rollout.build.clone(),
            caused_at: rollout.caused_at,
        };
        let artifacts = self.config.artifacts();
        let pointer =
            records::pointer(self.ports.store, &artifacts, &self.config.environment).await?;
        let target = pointer.value.target.as_ref();
        let is_this = target.is_some_and(|target| target.caused_at == rollout.caused_at);
        let reason = format!("{WRITE}: {}", refused.reason);
        let now = self.ports.clock.now();
        let next = pointer.value.failed(&rollout.release, &reason, now);
        let Some(next) = next.filter(|_| is_this) else {
            // Somebody moved the pointer meanwhile: the event is decided again.
            return Err(Error::transient(refused.reason));
        };
        records::keep_decision(
            self.ports.store,
            &artifacts,
            NAME,
            &rollout.release,
            &Decision::Unwritable {
                failed: refused.clone(),
            },
        )
        .await?;
        let at = artifacts.pointer(&self.config.environment);
        records::swap(self.ports.store, &at, &pointer, &next).await?;
        failed(self.ports.bus, &refused).await?;
        Ok(Some(refused))
    }
}

/// What is on its way ends: the reason, the pointer, the announcement. `roll-back` brings back what is known good.
pub(crate) async fn end(
    config: &Config,
    (store, bus, now): (&impl ObjectStore, &impl Bus, Timestamp),
    decision: &Decision,
    failure: &ReleaseFailed,
    pointer: &Versioned<Pointer>,
) -> Result<()> {
    let artifacts = config.artifacts();
    let ReleaseFailed {
        release,
        stage,
        reason,
        ..
    } = failure;
    let next = pointer
        .value
        .failed(release, &format!("{stage}: {reason}"), now);
    // There is none when a crash came between the pointer and the announcement.
    if let Some(next) = next {
        records::keep_decision(store, &artifacts, NAME, release, decision).await?;
        let at = artifacts.pointer(&config.environment);
        records::swap(store, &at, pointer, &next).await?;
    }
    failed(bus, failure).await
}

/// Where the environment converges.
pub(crate) fn place<'a>(config: &'a Config, artifacts: &'a Artifacts) -> Place<'a> {
    Place {
        artifacts,
        environment: &config.environment,
        endpoint: &config.endpoint,
        role_arn: &config.role_arn,
    }
}

/// Announces that a release failed.
pub(crate) async fn failed(bus: &impl Bus, failed: &ReleaseFailed) -> Result<()> {
    let failed = Announced::ReleaseFailed(failed.clone());
    bus.announce(&failed.announcement()?).await
}

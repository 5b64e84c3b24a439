//! A late write must not win.
//!
//! An invocation moves the pointer, then writes Deployment and endpoint. Another one may move the pointer
//! between the two and write before the first is done: the first one's write then comes last, and the
//! targets don't run what the pointer says. So whoever has written reads the pointer once more. While it
//! still says what was written, whoever moves it later writes later as well. When it doesn't, what it says
//! now is written again, and the event is decided again.

use domain::{
    Error, Result,
    alarms::candidate_names,
    converge, endpoint,
    layout::Artifacts,
    names,
    ports::{Canaries, Cluster, Endpoints, ObjectStore},
    records,
    release::{Manifest, Pointer, Progress, endpoint_config},
    rollout::Deployment,
};

/// Which environment converges.
#[derive(Debug)]
pub struct Place<'a> {
    /// The bucket of pointer and releases.
    pub artifacts: &'a Artifacts,
    /// `dev`, `staging` or `prod`.
    pub environment: &'a str,
    /// Endpoint name.
    pub endpoint: &'a str,
    /// SageMaker's execution role.
    pub role_arn: &'a str,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The Deployment and the endpoint.
    AllPods,
    /// The canary only.
    Canary,
}

/// Where the pointer moved to while something else was being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What was being written.
    pub release: String,
    /// What the pointer says, and what was written again.
    pub to: String,
}

impl From<Moved> for Error {
    /// [`domain::Class::Transient`]: the event has to be decided again.
    fn from(moved: Moved) -> Self {
        Self::transient(format!(
            "while {} was being written, the pointer moved to {}; that was written again",
            moved.release, moved.to
        ))
    }
}

/// Whether the pointer still says what was written; when it doesn't, what it says now is written.
pub async fn confirm<S, E, K>(
    place: &Place<'_>,
    (store, endpoints, cluster): (&S, &E, &K),
    release: &str,
    written: Written,
) -> Result<std::result::Result<(), Moved>>
where
    S: ObjectStore,
    E: Endpoints,
    K: Cluster + Canaries,
{
    let pointer = records::pointer(store, place.artifacts, place.environment)
        .await?
        .value;
    if says(&pointer, release, written) {
        return Ok(Ok(()));
    }
    if let Some((release, cause)) = all_pods(&pointer) {
        let manifest = records::manifest(store, place.artifacts, release).await?;
        let patch = converge::deployment(release, &manifest, cause)?;
        let deployment = cluster.deployment().await?;
        if !deployment.is_some_and(|found| converge::carries(&found, &patch)) {
            // What runs already goes on: another change-cause alone would be written for nothing.
            cluster.apply(&patch, false).await?;
        }
        let endpoint = converge::endpoint(place.endpoint, place.role_arn, &manifest)?;
        if written == Written::AllPods {
            endpoints.ensure_endpoint(&endpoint).await?;
        }
    }
    give_canary(place.artifacts, (store, cluster), &pointer).await?;
    let to = pointer.target.map(|target| target.release);
    Ok(Err(Moved {
        release: release.to_owned(),
        to: to.unwrap_or_else(|| "nothing".to_owned()),
    }))
}

/// What a late write left behind whose invocation died before it looked: its message comes back, and is
/// decided otherwise by then. While the pointer's target is verified, nobody writes; so whatever else of ours
/// runs then is such a write, and what the pointer says is written again. That is an error of
/// [`domain::Class::Transient`]: the event is decided once more, and looks once more. The endpoint is written a few
/// times only, which the pointer counts: one that doesn't keep it is `roll-back`'s to weigh. Its failure reason says
/// nothing here, since it may be of an earlier update, and one that is taken back may give none.
pub async fn repair<S, E, K>(
    place: &Place<'_>,
    (store, endpoints, cluster): (&S, &E, &K),
    pointer: &Pointer,
) -> Result<()>
where
    S: ObjectStore,
    E: Endpoints,
    K: Cluster + Canaries,
{
    let target = pointer.target.as_ref();
    let Some(target) = target.filter(|target| target.progress == Progress::Verified) else {
        return Ok(());
    };
    let Some(served) = served(place.artifacts, store, &target.release).await? else {
        return Ok(());
    };
    let carried = |deployment: Option<Deployment>| {
        let mut environment = deployment.map(|deployment| deployment.environment)?;
        environment.remove("DEPLOYMENT_ID")
    };
    let deployment = cluster.deployment().await?;
    let mut managers = deployment.iter().flat_map(|found| &found.image_managers);
    if managers.any(|manager| manager != converge::FIELD_MANAGER) {
        // Somebody else's write is no late one of ours, and nothing is written against it.
        return Ok(());
    }
    let runs = carried(deployment).filter(|runs| *runs != target.release);
    let canary = cluster.canary().await?;
    let tried = carried(canary.filter(|canary| canary.wanted > 0));
    let ours = format!("{}-{}-", names::PROJECT, place.environment);
    let endpoint = endpoints
        .endpoint(place.endpoint)
        .await?
        .filter(|endpoint| {
            // One that is being updated is told of by its own event.
            let is_other = endpoint.config != served && endpoint.config.starts_with(&ours);
            endpoint.status == "InService" && is_other
        });
    let endpoint = match endpoint {
        Some(endpoint) => count_repair(place, store, &target.release)
            .await?
            .then_some(endpoint.config),
        None => None,
    };
    match runs.or(tried).or(endpoint) {
        Some(late) => {
            Ok(confirm(place, (store, endpoints, cluster), &late, Written::AllPods).await??)
        }
        None => Ok(()),
    }
}

/// Counts one more write of the endpoint; `false` when there were enough, or the pointer says something else by now.
async fn count_repair<S>(place: &Place<'_>, store: &S, release: &str) -> Result<bool>
where
    S: ObjectStore,
{
    let pointer = records::pointer(store, place.artifacts, place.environment).await?;
    let Some(next) = pointer.value.repair_endpoint(release) else {
        return Ok(false);
    };
    let at = place.artifacts.pointer(place.environment);
    records::swap(store, &at, &pointer, &next).await?;
    Ok(true)
}

/// Takes the canary away, and gives it back when the pointer says by then that another release is tried out:
/// what takes away may be late as well.
pub async fn retire_canary<S, K>(
    (artifacts, environment): (&Artifacts, &str),
    (store, cluster): (&S, &K),
) -> Result<()>
where
    S: ObjectStore,
    K: Canaries,
{
    cluster.retire_canary().await?;
    let pointer = records::pointer(store, artifacts, environment).await?.value;
    if is_canary(&pointer) {
        give_canary(artifacts, (store, cluster), &pointer).await?;
    }
    Ok(())
}

/// Gives the canary what the pointer says: the pods of what is tried out, or none.
async fn give_canary<S, K>(
    artifacts: &Artifacts,
    (store, cluster): (&S, &K),
    pointer: &Pointer,
) -> Result<()>
where
    S: ObjectStore,
    K: Canaries,
{
    if let Some(target) = &pointer.target
        && let Progress::Canary { pods, .. } = target.progress
    {
        let manifest = records::manifest(store, artifacts, &target.release).await?;
        let patch = converge::deployment(&target.release, &manifest, &target.cause)?;
        cluster.ensure_canary(&patch, pods).await?;
        return Ok(());
    }
    cluster.retire_canary().await
}

/// Names of a release's own alarms that watch nothing which the pointer still says. Those of an endpoint
/// configuration stay while the target or what is known good is served by it, and on the way back from it: by
/// them SageMaker takes back an update that still bakes.
pub async fn idle_alarms(
    (artifacts, namespace): (&Artifacts, &str),
    store: &impl ObjectStore,
    pointer: &Pointer,
    release: &str,
) -> Result<Vec<String>> {
    let target = pointer.target.as_ref();
    let good = pointer.known_good.as_ref().map(|good| &good.release);
    let mut idle = vec![];
    if !target.is_some_and(|target| target.release == release && target.progress.is_open()) {
        idle.extend(candidate_names(namespace, release));
    }
    let Some(served) = served(artifacts, store, release).await? else {
        return Ok(idle);
    };
    let left = target.and_then(|target| match &target.progress {
        Progress::Restoring { from, .. } => Some(from),
        _ => None,
    });
    let target = target.map(|target| &target.release);
    for needed in target.into_iter().chain(good).chain(left) {
        if self::served(artifacts, store, needed).await?.as_ref() == Some(&served) {
            return Ok(idle);
        }
    }
    idle.extend(endpoint::alarm_names(&served));
    Ok(idle)
}

/// The endpoint configuration of a release; `None` when there is no such release.
async fn served(
    artifacts: &Artifacts,
    store: &impl ObjectStore,
    release: &str,
) -> Result<Option<String>> {
    let manifest: Option<Manifest> = records::read(store, &artifacts.release(release)).await?;
    manifest.as_ref().map(endpoint_config).transpose()
}

/// Whether the pointer still says that this release has what was written.
fn says(pointer: &Pointer, release: &str, written: Written) -> bool {
    pointer.targets(release) && is_canary(pointer) == (written == Written::Canary)
}

fn is_canary(pointer: &Pointer) -> bool {
    pointer
        .target
        .as_ref()
        .is_some_and(|target| matches!(target.progress, Progress::Canary { .. }))
}

/// What all pods should run, and why. A target that failed says nothing: the way back writes next.
fn all_pods(pointer: &Pointer) -> Option<(&str, &str)> {
    let target = pointer.target.as_ref()?;
    match &target.progress {
        Progress::Failed { .. } => None,
        Progress::Canary { .. } => {
            let good = pointer.known_good.as_ref()?;
            Some((&good.release, "live beside a canary"))
        }
        Progress::Deploying | Progress::Restoring { .. } | Progress::Verified => {
            Some((&target.release, &target.cause))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_the_pointer_says_decides() {
        let live = Pointer::empty("dev")
            .aim("a", at(1), at(1), "first")
            .verified("a", at(2))
            .unwrap();
        let canary = live.aim("b", at(3), at(3), "second").try_out(1, 3);
        let rolling = canary.promote("b", at(4)).unwrap();
        let failed = rolling.failed("b", "health: 503", at(5)).unwrap();
        let cases = [
            (&live, "a", Written::AllPods, true, Some("a")),
            (&live, "b", Written::AllPods, false, Some("a")),
            (&canary, "b", Written::Canary, true, Some("a")),
            (&canary, "a", Written::AllPods, false, Some("a")),
            (&rolling, "b", Written::Canary, false, Some("b")),
            (&rolling, "b", Written::AllPods, true, Some("b")),
            (&failed, "b", Written::AllPods, true, None),
        ];
        for (pointer, release, written, confirmed, runs) in cases {
            assert_eq!(says(pointer, release, written), confirmed, "{pointer:?}");
            assert_eq!(all_pods(pointer).map(|(release, _)| release), runs);
        }
    }
}

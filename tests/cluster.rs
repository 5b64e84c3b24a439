//! A release goes wrong on a cluster, and what is known good comes back: the unmodified binaries, the API
//! server of the local cloud or, by `make test-cluster`, a real one. One cloud for all stories; each
//! begins and ends with a good release live.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test"
)]

#[path = "cluster/runs.rs"]
mod runs;
#[path = "cluster/stage.rs"]
mod stage;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use runs::Release;
use serde_json::{Value, json};
use stage::{SOUND, Stage, UNSTEADY};
use stories::scene::csv;

/// What an autoscaler wants, and no deployment or rollback may change.
const REPLICAS: i32 = 3;

#[test]
fn a_release_that_goes_wrong_is_followed_by_the_good_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(every_story());
}

async fn every_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let test = std::env::current_exe().unwrap();
    let bins = test.ancestors().nth(2).unwrap();
    assert!(
        bins.join(UNSTEADY).exists(),
        "the programs aren't built: run `make test`, or `make build` first"
    );
    let state = tempfile::tempdir().unwrap();
    let mut clock = Clock(Instant::now());
    let mut stage = Stage::start(&root, state.path(), bins).await;
    let version = stage.cloud.kubernetes_version().to_owned();
    let good = first_release(&mut stage).await;
    clock.tell("good A is verified", None);

    for name in ["bad B, its alarm four times", "bad C, its alarm four times"] {
        let after = bad_release(&mut stage, &good).await;
        clock.tell(name, Some(after));
    }
    let after = alarm_during_a_rollout(&mut stage, &good).await;
    clock.tell("alarm during a rollout", Some(after));
    let after = no_revision_left(&mut stage, &good).await;
    clock.tell("revisionHistoryLimit: 0", Some(after));
    let after = paused(&mut stage, &good).await;
    clock.tell("paused, resumed, asked again", Some(after));
    let after = owned_by_helm(&mut stage, &good).await;
    clock.tell(
        "image owned by helm, taken over when asked again",
        Some(after),
    );
    let after = several_parts_differ(&mut stage).await;
    clock.tell("model and configuration differ, diagnosed", Some(after));
    println!("on Kubernetes {version}, as {}", stage.cloud.namespace());
    stage.cloud.stop().await;
}

/// Prints how long a story took, and from the cause to the verified service.
struct Clock(Instant);

impl Clock {
    fn tell(&mut self, story: &str, restored: Option<Duration>) {
        let took = self.0.elapsed().as_secs_f64();
        let restored = restored.map(|after| {
            let after = after.as_secs_f64();
            format!(", verified {after:.1} s after the cause spoke")
        });
        println!("{story}: {took:.1} s{}", restored.unwrap_or_default());
        self.0 = Instant::now();
    }
}

/// Good A, with an autoscaler that wants more pods than the manifests.
async fn first_release(stage: &mut Stage) -> Release {
    stage.upload(csv(500)).await;
    let verified = stage.next("ReleaseVerified", |_| true).await;
    stage
        .cluster
        .patch(json!({"spec": {"replicas": REPLICAS}}))
        .await;
    stage.settled(&verified).await
}

/// A release that passes every check, and whose alarm speaks afterwards: after good A it is A that comes
/// back, whatever was live in between. However often the alarm is delivered, it makes one rollback.
async fn bad_release(stage: &mut Stage, good: &Release) -> Duration {
    let bad = stage.deploy(SOUND, &[]).await;
    assert_ne!(bad.runs, good.runs);
    let alarm = stage.alarm(&bad.id);
    stage.speak(&alarm).await;
    let after = stage.restored(good, &bad.id).await;
    stage.speak(&alarm).await;
    stage.rest().await;
    one_rollback(stage, &bad.id);
    stage.serves(good).await;
    let (_, digest) = bad.runs.image.split_once('@').unwrap();
    let quarantined = stage.quarantined().await;
    assert!(
        quarantined.iter().any(|one| one.ends_with(digest)),
        "{digest} isn't in {quarantined:?}"
    );
    after
}

fn one_rollback(stage: &Stage, bad: &str) {
    for told in ["RollbackStarted", "RollbackSucceeded"] {
        assert_eq!(stage.ids(told, bad).len(), 1, "{told} for {bad}");
    }
}

/// Pods that never get ready hold up a rollout for minutes; the alarm doesn't wait for its end.
async fn alarm_during_a_rollout(stage: &mut Stage, good: &Release) -> Duration {
    let never_ready = [("DEFECT", "/health"), ("SOUND_ANSWERS", "0")];
    stage.push(UNSTEADY, &never_ready).await;
    let started = stage.next("DeploymentStarted", |_| true).await;
    let bad = started["release"].as_str().unwrap().to_owned();
    let look = stage.cluster.look().await;
    assert_eq!(look.runs.environment["DEPLOYMENT_ID"], bad);
    let alarm = stage.alarm(&bad);
    stage.speak(&alarm).await;
    let after = stage.restored(good, &bad).await;
    one_rollback(stage, &bad);
    for judged in ["ReleaseVerified", "ReleaseFailed"] {
        assert!(stage.ids(judged, &bad).is_empty(), "{judged} for {bad}");
    }
    after
}

/// Kubernetes keeps no revision that it could go back to: the way back is our own manifest.
async fn no_revision_left(stage: &mut Stage, good: &Release) -> Duration {
    let limit = |revisions: u32| json!({"spec": {"revisionHistoryLimit": revisions}});
    stage.cluster.patch(limit(0)).await;
    let bad = stage.deploy(SOUND, &[]).await;
    let deadline = Instant::now() + Duration::from_mins(3);
    while stage.cluster.revisions().await != [bad.runs.image.clone()] {
        assert!(Instant::now() < deadline, "old ReplicaSets stay");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let alarm = stage.alarm(&bad.id);
    stage.speak(&alarm).await;
    let after = stage.restored(good, &bad.id).await;
    one_rollback(stage, &bad.id);
    stage.cluster.patch(limit(5)).await;
    after
}

/// A paused Deployment takes what it is given and rolls nothing out: that is said, tried to the limit and
/// given up. Once it is resumed, a person asks again.
async fn paused(stage: &mut Stage, good: &Release) -> Duration {
    let bad = stage.deploy(SOUND, &[]).await;
    let pause = |paused: bool| json!({"spec": {"paused": paused}});
    stage.cluster.patch(pause(true)).await;
    let alarm = stage.alarm(&bad.id);
    stage.speak(&alarm).await;
    let given_up = stage.next("RollbackGivenUp", from(&bad.id)).await;
    let reason = given_up["reason"].as_str().unwrap();
    assert!(reason.contains("the Deployment is paused"), "{reason}");
    stage.rest().await;
    assert_eq!(stage.answers_for().await, bad.id);
    assert_eq!(stage.ids("RollbackStarted", &bad.id).len(), 3, "tries");
    assert!(stage.ids("RollbackSucceeded", &bad.id).is_empty());

    stage.cluster.patch(pause(false)).await;
    stage.ask_to_leave(&bad.id, "resumed").await;
    let after = stage.restored(good, &bad.id).await;
    assert_eq!(stage.ids("RollbackSucceeded", &bad.id).len(), 1);
    after
}

/// Helm takes the image by force: nothing of ours writes against it, and both ways say whose it is. A
/// person lets it be taken over, Helm leaves it out, and from then on both ways work.
async fn owned_by_helm(stage: &mut Stage, good: &Release) -> Duration {
    let bad = stage.deploy(SOUND, &[]).await;
    stage.cluster.force_image("helm", &good.runs.image).await;
    stage.push(SOUND, &[]).await;
    let skipped = stage.next("DeploymentSkipped", |_| true).await;
    let alarm = stage.alarm(&bad.id);
    stage.speak(&alarm).await;
    let given_up = stage.next("RollbackGivenUp", from(&bad.id)).await;
    for told in [&skipped, &given_up] {
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains("the field manager helm"), "{reason}");
    }
    stage.rest().await;
    let look = stage.cluster.look().await;
    let (image, variables) = (look.runs.image, look.runs.environment);
    assert_eq!(
        (image, variables),
        (good.runs.image.clone(), bad.runs.environment)
    );
    assert!(stage.ids("RollbackStarted", &bad.id).is_empty());

    stage.ask(&bad.id, "take over", Some("helm")).await;
    let after = stage.restored(good, &bad.id).await;
    one_rollback(stage, &bad.id);
    // Both give it the same value, and share it until Helm leaves it out.
    stage.cluster.leave_image("helm").await;
    let look = stage.cluster.look().await;
    assert_eq!(look.runs, good.runs);
    after
}

/// A model and a variable came together, and the variable makes the container fail: each is tried alone,
/// as a batch transform of the golden rows, and the guilty one is named. It stays away afterwards.
async fn several_parts_differ(stage: &mut Stage) -> Duration {
    let good = stage.deploy(UNSTEADY, &[("DEFECT", "/none")]).await;
    let defect = json!({"DEFECT": "/invocations", "SOUND_ANSWERS": "0"}).to_string();
    configure(stage, &defect).await;
    stage.upload(csv(560)).await;
    let verified = stage.next("ReleaseVerified", |_| true).await;
    let bad = stage.settled(&verified).await;
    assert_ne!(
        bad.runs.environment["MODEL_URI"],
        good.runs.environment["MODEL_URI"]
    );
    let alarm = stage.alarm(&bad.id);
    stage.speak(&alarm).await;
    let diagnosed = stage.next("ReleaseDiagnosed", from(&bad.id)).await;
    let after = stage.restored(&good, &bad.id).await;
    one_rollback(stage, &bad.id);
    assert_eq!(stage.ids("ReleaseDiagnosed", &bad.id).len(), 1);
    let guilty = diagnosed["guilty"].as_array().unwrap();
    assert_eq!(guilty.len(), 1, "{diagnosed}");
    assert_eq!(guilty[0]["part"], "configuration", "{diagnosed}");
    let configuration = guilty[0]["identity"].as_str().unwrap().to_owned();
    let trials: Vec<&str> = diagnosed["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| trial.as_str().unwrap())
        .collect();
    let expected = [
        "good model, good configuration: holds",
        "bad model, good configuration: holds",
        "good model, bad configuration: fails",
        "bad model, bad configuration: fails",
    ];
    assert_eq!(trials.len(), expected.len(), "{trials:?}");
    for (trial, expected) in trials.iter().zip(expected) {
        assert!(trial.starts_with(expected), "{trial}");
    }
    let quarantined = stage.quarantined().await;
    for held in [&configuration, &bad.id] {
        assert!(
            quarantined.contains(held),
            "{held} isn't in {quarantined:?}"
        );
    }

    stage.push(SOUND, &[]).await;
    let skipped = stage.next("DeploymentSkipped", |_| true).await;
    let reason = skipped["reason"].as_str().unwrap();
    assert!(reason.contains(&configuration), "{reason}");
    configure(stage, "{}").await;
    let next = stage.deploy(SOUND, &[]).await;
    stage.serves(&next).await;
    after
}

/// The configuration of releases from now on.
async fn configure(stage: &Stage, environment: &str) {
    let variables = [("API_ENVIRONMENT", environment)];
    let set = stage.cloud.set_variables("deploy-release", &variables);
    set.await.unwrap();
}

fn from(release: &str) -> impl Fn(&Value) -> bool {
    move |detail| detail["from"] == release
}

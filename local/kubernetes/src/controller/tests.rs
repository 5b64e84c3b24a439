//! Rollouts without processes: the tests say which pods are ready, and time is passed by hand.

use serde_json::json;

use super::*;
use crate::{
    catalog::NAMESPACES,
    json::number,
    registry::{Part, Patch, Writer},
};

const NAMESPACE: &str = "retail-forecast-prod";
const NAME: &str = "retail-forecast-api";

struct Cluster {
    registry: Registry,
    /// Seconds that have passed for the controllers.
    seconds: i64,
}

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

impl Cluster {
    /// A cluster with the recorded Deployment, changed by `change`, at rest.
    fn with(change: impl FnOnce(&mut Value)) -> Self {
        let registry = Registry::new();
        let writer = Writer::named("test");
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        registry.create(&NAMESPACES, "", namespace, writer).unwrap();
        let mut deployment = recorded(include_str!(
            "../../tests/fixtures/deployment-complete.json"
        ));
        deployment["metadata"] = json!({"name": NAME});
        change(&mut deployment);
        registry
            .create(&DEPLOYMENTS, NAMESPACE, deployment, writer)
            .unwrap();
        let mut cluster = Self {
            registry,
            seconds: 0,
        };
        cluster.settle();
        cluster
    }

    fn now(&self) -> Timestamp {
        crate::clock::after(Timestamp::now(), self.seconds)
    }

    /// Reconciles until nothing changes.
    fn settle(&mut self) -> Option<Timestamp> {
        loop {
            let before = self.registry.store.list(&PODS, None).1;
            let wake = reconcile(&self.registry, self.now());
            if self.registry.store.list(&PODS, None).1 == before {
                return wake;
            }
        }
    }

    fn pass(&mut self, seconds: i64) {
        self.seconds += seconds;
        self.settle();
    }

    fn pods(&self) -> Vec<Arc<Value>> {
        let mut pods = self.registry.store.list(&PODS, None).0;
        pods.retain(|pod| !crate::pods::is_terminating(pod));
        pods
    }

    fn set_ready(&self, pod: &Value, ready: bool) {
        let status = if ready { "True" } else { "False" };
        let since = crate::clock::rfc3339(self.now());
        let key = Key::of(&PODS, pod);
        self.registry
            .modify(&key, Part::Status, "kubelet", |pod| {
                pod["status"]["conditions"] =
                    json!([{"type": "Ready", "status": status, "lastTransitionTime": since}]);
            })
            .unwrap();
    }

    /// Lets pods with this image become ready, terminating ones go, and time pass, to the end.
    fn roll_out(&mut self, image: &str) {
        loop {
            let before = self.registry.store.list(&PODS, None).1;
            for pod in self.registry.store.list(&PODS, None).0 {
                if crate::pods::is_terminating(&pod) {
                    let now = DeleteOptions {
                        grace_period_seconds: Some(0),
                        ..DeleteOptions::default()
                    };
                    self.registry.delete(&Key::of(&PODS, &pod), &now).unwrap();
                } else if !crate::pods::is_ready(&pod)
                    && pod["spec"]["containers"][0]["image"] == image
                {
                    self.set_ready(&pod, true);
                }
            }
            self.settle();
            self.pass(1);
            if self.registry.store.list(&PODS, None).1 == before {
                return;
            }
        }
    }

    fn deployment(&self) -> Arc<Value> {
        self.registry
            .get(&Key::new(&DEPLOYMENTS, NAMESPACE, NAME))
            .unwrap()
    }

    fn patch(&mut self, patch: Value) {
        let key = Key::new(&DEPLOYMENTS, NAMESPACE, NAME);
        self.registry
            .patch(
                &key,
                Part::Whole,
                Patch::Strategic(patch),
                Writer::named("us"),
            )
            .unwrap();
        self.settle();
    }

    fn set_image(&mut self, image: &str) {
        self.patch(json!({"spec": {"template": {"spec": {"containers": [
            {"name": "api", "image": image}
        ]}}}}));
    }

    /// Revision, image and size of each ReplicaSet, by revision.
    fn replica_sets(&self) -> Vec<(i64, String, i64)> {
        let mut sets: Vec<_> = self
            .registry
            .store
            .list(&REPLICA_SETS, None)
            .0
            .iter()
            .map(|rs| {
                let image = text(rs, "/spec/template/spec/containers/0/image");
                (
                    revision::of(rs),
                    image.to_owned(),
                    number(rs, "/spec/replicas"),
                )
            })
            .collect();
        sets.sort();
        sets
    }

    fn progressing(&self) -> (String, String) {
        let deployment = self.deployment();
        let condition = conditions::find(&deployment["status"], conditions::PROGRESSING).unwrap();
        let part = |pointer| text(condition, pointer).to_owned();
        (part("/status"), part("/reason"))
    }
}

/// A cluster where `x:1` runs.
fn running() -> Cluster {
    let mut cluster = Cluster::with(|deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x:1");
    });
    cluster.roll_out("x:1");
    cluster
}

fn fields(value: &Value) -> Vec<String> {
    let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    fields
}

/// Conditions without their times and the name of the ReplicaSet, whose hash is ours.
fn told(status: &Value) -> Vec<(String, String, String, String)> {
    let part = |condition: &Value, pointer: &str| text(condition, pointer).to_owned();
    items(status, "/conditions")
        .iter()
        .map(|condition| {
            let message = part(condition, "/message");
            let message = match message.split('"').collect::<Vec<_>>().as_slice() {
                [before, _, after] => format!("{before}…{after}"),
                _ => message,
            };
            (
                part(condition, "/type"),
                part(condition, "/status"),
                part(condition, "/reason"),
                message,
            )
        })
        .collect()
}

#[test]
fn a_complete_rollout_looks_as_recorded() {
    let mut cluster = running();
    cluster.set_image("x:2");
    cluster.roll_out("x:2");
    let recorded = recorded(include_str!(
        "../../tests/fixtures/deployment-complete.json"
    ));
    let deployment = cluster.deployment();
    let status = &deployment["status"];
    assert_eq!(fields(status), fields(&recorded["status"]));
    assert_eq!(told(status), told(&recorded["status"]));
    for field in [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
    ] {
        assert_eq!(status[field], recorded["status"][field], "{field}");
    }
    assert_eq!(revision::of(&deployment), 2);
    assert_eq!(
        cluster.replica_sets(),
        [(1, "x:1".to_owned(), 0), (2, "x:2".to_owned(), 3)]
    );
}

/// The limits of the recorded Deployment hold at every single write, as they do in the record.
#[test]
fn a_rollout_never_leaves_its_limits() {
    let mut cluster = running();
    let start = cluster.registry.store.list(&PODS, None).1;
    cluster.set_image("x:2");
    cluster.roll_out("x:2");
    let (changes, _) = cluster
        .registry
        .store
        .changes_after(start, &DEPLOYMENTS, None)
        .unwrap();
    let counts: Vec<[i64; 4]> = changes
        .iter()
        .map(|change| {
            [
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
            ]
            .map(|field| number(&change.object, &format!("/status/{field}")))
        })
        .collect();
    assert!(
        counts
            .iter()
            .all(|[replicas, _, _, available]| *replicas <= 4 && *available >= 3)
    );
    // The steps of the record, each met in this order.
    let steps = [
        [4, 1, 3, 3],
        [4, 1, 4, 3],
        [4, 1, 4, 4],
        [4, 2, 4, 4],
        [4, 3, 4, 4],
        [3, 3, 3, 3],
    ];
    let mut rest = counts.iter();
    for step in steps {
        assert!(rest.any(|counts| *counts == step), "{step:?} in {counts:?}");
    }
    let reasons: Vec<String> = changes
        .iter()
        .filter_map(|change| {
            let condition = conditions::find(&change.object["status"], conditions::PROGRESSING);
            condition.map(|condition| text(condition, "/reason").to_owned())
        })
        .collect();
    let mut distinct = reasons.clone();
    distinct.dedup();
    assert_eq!(
        distinct,
        [
            "NewReplicaSetAvailable",
            "NewReplicaSetCreated",
            "ReplicaSetUpdated",
            "NewReplicaSetAvailable"
        ]
    );
}

#[test]
fn ready_is_not_available_before_min_ready_seconds() {
    let mut cluster = running();
    cluster.patch(json!({"spec": {"minReadySeconds": 10, "progressDeadlineSeconds": 60}}));
    cluster.pass(20);
    cluster.set_image("x:2");
    for pod in cluster.pods() {
        if !crate::pods::is_ready(&pod) {
            cluster.set_ready(&pod, true);
        }
    }
    let wake = cluster.settle().unwrap();
    let status = cluster.deployment()["status"].clone();
    assert_eq!(
        (
            number(&status, "/readyReplicas"),
            number(&status, "/availableReplicas")
        ),
        (4, 3)
    );
    let wait = wake.duration_since(cluster.now()).as_secs();
    assert!((8..=10).contains(&wait), "{wait}");
    cluster.pass(10);
    assert_eq!(number(&cluster.deployment(), "/status/updatedReplicas"), 2);
}

#[test]
fn a_stuck_rollout_exceeds_its_deadline_as_recorded_and_the_old_pods_stay() {
    let mut cluster = running();
    cluster.set_image("x:broken");
    let wake = cluster.settle().unwrap();
    let wait = wake.duration_since(cluster.now()).as_secs();
    assert!((18..=20).contains(&wait), "{wait}");
    cluster.pass(21);
    let recorded = recorded(include_str!(
        "../../tests/fixtures/deployment-deadline-exceeded.json"
    ));
    let deployment = cluster.deployment();
    assert_eq!(fields(&deployment["status"]), fields(&recorded["status"]));
    assert_eq!(told(&deployment["status"]), told(&recorded["status"]));
    for field in [
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
    ] {
        assert_eq!(
            deployment["status"][field], recorded["status"][field],
            "{field}"
        );
    }
    // The way back: the old template's ReplicaSet takes over under a new number.
    cluster.set_image("x:1");
    cluster.roll_out("x:1");
    assert_eq!(
        cluster.progressing(),
        ("True".to_owned(), "NewReplicaSetAvailable".to_owned())
    );
    assert_eq!(
        cluster.replica_sets(),
        [(2, "x:broken".to_owned(), 0), (3, "x:1".to_owned(), 3)]
    );
}

#[test]
fn a_template_that_comes_back_keeps_its_replica_set_and_remembers_its_numbers() {
    let mut cluster = running();
    for image in ["x:2", "x:1", "x:2", "x:1"] {
        cluster.set_image(image);
        cluster.roll_out(image);
    }
    assert_eq!(
        cluster.replica_sets(),
        [(4, "x:2".to_owned(), 0), (5, "x:1".to_owned(), 3)]
    );
    let (sets, _) = cluster.registry.store.list(&REPLICA_SETS, None);
    let one = sets.iter().find(|rs| revision::of(rs) == 5).unwrap();
    assert_eq!(
        revision::annotation(one, "deployment.kubernetes.io/revision-history"),
        "1,3"
    );
    assert_eq!(revision::of(&cluster.deployment()), 5);
}

#[test]
fn a_write_that_leaves_the_template_alone_makes_no_revision() {
    let mut cluster = running();
    cluster.patch(json!({"metadata": {"annotations": {"kubernetes.io/change-cause": "again"}}}));
    cluster.set_image("x:1");
    assert_eq!(cluster.replica_sets(), [(1, "x:1".to_owned(), 3)]);
    let (sets, _) = cluster.registry.store.list(&REPLICA_SETS, None);
    assert_eq!(
        revision::annotation(&sets[0], "kubernetes.io/change-cause"),
        "again"
    );
}

#[test]
fn a_paused_deployment_takes_patches_and_stays_as_recorded() {
    let mut cluster = running();
    cluster.patch(json!({"spec": {"paused": true}}));
    cluster.set_image("x:2");
    let recorded = recorded(include_str!("../../tests/fixtures/deployment-paused.json"));
    let deployment = cluster.deployment();
    assert_eq!(told(&deployment["status"]), told(&recorded["status"]));
    // The template is another one, so nothing is up to date.
    assert_eq!(number(&deployment, "/status/updatedReplicas"), 0);
    assert_eq!(
        deployment["status"]["observedGeneration"],
        deployment["metadata"]["generation"]
    );
    assert_eq!(cluster.replica_sets(), [(1, "x:1".to_owned(), 3)]);
    cluster.patch(json!({"spec": {"paused": null}}));
    cluster.roll_out("x:2");
    assert_eq!(cluster.replica_sets()[1], (2, "x:2".to_owned(), 3));
}

#[test]
fn history_is_kept_up_to_its_limit() {
    for (limit, kept) in [(0, vec![4]), (1, vec![3, 4]), (5, vec![1, 2, 3, 4])] {
        let mut cluster = running();
        cluster.patch(json!({"spec": {"revisionHistoryLimit": limit}}));
        for image in ["x:2", "x:3", "x:4"] {
            cluster.set_image(image);
            cluster.roll_out(image);
        }
        let revisions: Vec<i64> = cluster
            .replica_sets()
            .iter()
            .map(|(revision, ..)| *revision)
            .collect();
        assert_eq!(revisions, kept, "limit {limit}");
    }
}

#[test]
fn scaling_makes_no_revision() {
    let mut cluster = running();
    cluster.patch(json!({"spec": {"replicas": 5}}));
    cluster.roll_out("x:1");
    assert_eq!(cluster.replica_sets(), [(1, "x:1".to_owned(), 5)]);
    cluster.patch(json!({"spec": {"replicas": 0}}));
    cluster.roll_out("x:1");
    assert_eq!(cluster.replica_sets(), [(1, "x:1".to_owned(), 0)]);
    assert!(cluster.pods().is_empty());
    assert!(
        cluster.deployment()["status"].get("replicas").is_none(),
        "absent is zero"
    );
}

#[test]
fn scaling_in_the_middle_of_a_rollout_is_shared() {
    let mut cluster = running();
    cluster.set_image("x:broken");
    cluster.patch(json!({"spec": {"replicas": 6}}));
    let sizes: Vec<i64> = cluster
        .replica_sets()
        .iter()
        .map(|(_, _, size)| *size)
        .collect();
    assert_eq!(sizes.iter().sum::<i64>(), 7, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size >= 1), "{sizes:?}");
    assert!(sizes[0] > sizes[1], "{sizes:?}");
}

#[test]
fn recreate_ends_every_old_pod_before_the_first_new_one() {
    let mut cluster = running();
    cluster.patch(json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}));
    cluster.set_image("x:2");
    assert!(cluster.pods().is_empty());
    assert_eq!(cluster.replica_sets(), [(1, "x:1".to_owned(), 0)]);
    cluster.roll_out("x:2");
    assert_eq!(cluster.replica_sets()[1], (2, "x:2".to_owned(), 3));
}

#[test]
fn a_pod_that_is_gone_is_replaced_and_an_owner_takes_its_own_along() {
    let mut cluster = running();
    let pod = cluster.pods()[0].clone();
    cluster
        .registry
        .delete(&Key::of(&PODS, &pod), &DeleteOptions::default())
        .unwrap();
    cluster.settle();
    assert_eq!(cluster.pods().len(), 3);
    let key = Key::new(&DEPLOYMENTS, NAMESPACE, NAME);
    cluster
        .registry
        .delete(&key, &DeleteOptions::default())
        .unwrap();
    cluster.settle();
    assert!(cluster.replica_sets().is_empty());
    assert!(cluster.pods().is_empty());
}

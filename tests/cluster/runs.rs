//! The Deployment in the cluster, as its administrator and as others see and change it.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const NAME: &str = "retail-forecast-api";
const LABELS: &str = "app.kubernetes.io/name=retail-forecast-api,retail-forecast/track=stable";
/// Differs from rollback to rollback: it says why.
const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// A release that was seen to be live.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) id: String,
    pub(crate) runs: Runs,
}

impl Release {
    /// Nothing else runs, on as many pods as an autoscaler wants, and all are available.
    pub(crate) fn is_all_of(&self, look: &Look) {
        assert_eq!(look.runs, self.runs);
        assert_eq!(look.replicas, crate::REPLICAS, "replicas aren't ours");
        assert_eq!(
            [look.updated, look.available, look.pods],
            [look.replicas; 3]
        );
    }
}

/// All that a release gives to the pods.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Runs {
    pub(crate) image: String,
    /// Variables with a value of their own.
    pub(crate) environment: BTreeMap<String, String>,
    /// Of the Deployment and of its pods, but the change-cause.
    annotations: [BTreeMap<String, String>; 2],
}

/// One look at the Deployment.
pub(crate) struct Look {
    pub(crate) runs: Runs,
    pub(crate) replicas: i32,
    /// Pods of the newest template.
    pub(crate) updated: i32,
    pub(crate) available: i32,
    /// Pods of any template.
    pub(crate) pods: i32,
}

pub(crate) struct Cluster {
    deployments: Api<Deployment>,
    replica_sets: Api<ReplicaSet>,
    pods: Api<Pod>,
}

impl Cluster {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self {
            deployments: Api::namespaced(client.clone(), namespace),
            replica_sets: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client, namespace),
        }
    }

    pub(crate) async fn look(&self) -> Look {
        let found = self.deployments.get(NAME).await.unwrap();
        let (spec, status) = (found.spec.unwrap(), found.status.unwrap_or_default());
        let own = |annotations: Option<BTreeMap<String, String>>| {
            let mut annotations = annotations.unwrap_or_default();
            annotations.retain(|name, _| name != CHANGE_CAUSE && !name.starts_with("deployment."));
            annotations
        };
        let container = spec.template.spec.unwrap().containers.remove(0);
        let variables = container.env.into_iter().flatten();
        Look {
            runs: Runs {
                image: container.image.unwrap(),
                environment: variables
                    .filter_map(|variable| Some((variable.name, variable.value?)))
                    .collect(),
                annotations: [
                    own(found.metadata.annotations),
                    own(spec.template.metadata.unwrap().annotations),
                ],
            },
            replicas: spec.replicas.unwrap(),
            updated: status.updated_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            pods: status.replicas.unwrap_or_default(),
        }
    }

    /// Image and readiness of each pod that isn't told to end.
    pub(crate) async fn pods(&self) -> Vec<(String, bool)> {
        let list = self.pods.list(&ListParams::default().labels(LABELS)).await;
        let staying = list.unwrap().items.into_iter();
        let staying = staying.filter(|pod| pod.metadata.deletion_timestamp.is_none());
        staying
            .map(|pod| {
                let image = pod.spec.unwrap().containers.remove(0).image.unwrap();
                let conditions = pod.status.unwrap_or_default().conditions;
                let mut conditions = conditions.into_iter().flatten();
                let is_ready = conditions.any(|one| one.type_ == "Ready" && one.status == "True");
                (image, is_ready)
            })
            .collect()
    }

    /// Images of the ReplicaSets, which are the revisions that Kubernetes could go back to.
    pub(crate) async fn revisions(&self) -> Vec<String> {
        let ours = ListParams::default().labels(LABELS);
        let sets = self.replica_sets.list(&ours).await.unwrap();
        let sets = sets.items.into_iter();
        sets.map(|set| {
            let pod = set.spec.unwrap().template.unwrap().spec.unwrap();
            pod.containers[0].image.clone().unwrap()
        })
        .collect()
    }

    /// Somebody changes the Deployment, as `kubectl patch` does.
    pub(crate) async fn patch(&self, patch: Value) {
        let parameters = PatchParams {
            field_manager: Some("kubectl-patch".to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        self.deployments
            .patch(NAME, &parameters, &patch)
            .await
            .unwrap();
    }

    /// Helm takes the image, whoever has it.
    pub(crate) async fn force_image(&self, manager: &str, image: &str) {
        self.apply(manager, json!({"name": NAME, "image": image}))
            .await;
    }

    /// Helm leaves the image out of what it applies: refused while it is the only one that has it.
    pub(crate) async fn leave_image(&self, manager: &str) {
        self.apply(manager, json!({"name": NAME})).await;
    }

    async fn apply(&self, manager: &str, container: Value) {
        let containers = json!([container]);
        let apply = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME},
            "spec": {"template": {"spec": {"containers": containers}}},
        });
        let parameters = PatchParams::apply(manager).force();
        let patch = Patch::Apply(apply);
        self.deployments
            .patch(NAME, &parameters, &patch)
            .await
            .unwrap();
    }
}

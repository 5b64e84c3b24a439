//! The controllers: Deployments make ReplicaSets, ReplicaSets make pods.
//!
//! Level-triggered: every change, and every deadline, reconciles everything. A write only happens
//! where something differs, so the loop comes to rest by itself.

mod conditions;
mod deployment;
mod limits;
mod replica_set;
mod revision;
mod scaling;
mod status;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

pub(crate) use limits::amount;

use crate::{
    catalog::{DEPLOYMENTS, PODS, REPLICA_SETS, Resource},
    clock::earlier,
    error::Status,
    json::{items, text},
    registry::{DeleteOptions, Registry},
    store::Key,
};

/// The field manager of every write made here.
const MANAGER: &str = "kube-controller-manager";

/// A deadline in whole seconds may be seen a moment early; then this is how soon it is seen again.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// Reconciles until the task is aborted.
pub(crate) async fn run(registry: Arc<Registry>) {
    let mut changes = registry.store.subscribe();
    loop {
        changes.mark_unchanged();
        let wake = reconcile(&registry, Timestamp::now());
        if changes.has_changed().unwrap_or(true) {
            tokio::task::yield_now().await;
            continue;
        }
        let deadline = async {
            match wake {
                Some(wake) => {
                    let wait = Duration::try_from(wake.duration_since(Timestamp::now()));
                    tokio::time::sleep(wait.unwrap_or_default().max(SHORTEST_WAIT)).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = deadline => {}
        }
    }
}

/// One pass over everything; when to look again though nothing changes.
fn reconcile(registry: &Registry, now: Timestamp) -> Option<Timestamp> {
    let mut wake = None;
    collect_garbage(registry);
    for deployment in registry.store.list(&DEPLOYMENTS, None).0 {
        match deployment::sync(registry, &deployment, now) {
            Ok(at) => wake = earlier(wake, at),
            Err(refused) => log("deployment", &deployment, &refused),
        }
    }
    for replica_set in registry.store.list(&REPLICA_SETS, None).0 {
        match replica_set::sync(registry, &replica_set, now) {
            Ok(at) => wake = earlier(wake, at),
            Err(refused) => log("replica set", &replica_set, &refused),
        }
    }
    wake
}

fn log(what: &str, object: &Value, refused: &Status) {
    let name = text(object, "/metadata/name");
    tracing::warn!(what, name, %refused, "not reconciled");
}

/// Deletes what is left of an owner that is gone.
fn collect_garbage(registry: &Registry) {
    for (owner, owned) in [(&DEPLOYMENTS, &REPLICA_SETS), (&REPLICA_SETS, &PODS)] {
        for object in registry.store.list(owned, None).0 {
            let Some(reference) = controller_of(&object, owner) else {
                continue;
            };
            let namespace = text(&object, "/metadata/namespace");
            let key = Key::new(owner, namespace, text(reference, "/name"));
            let found = registry.store.get(&key);
            if found.is_some_and(|found| found["metadata"]["uid"] == reference["uid"]) {
                continue;
            }
            let key = Key::of(owned, &object);
            if let Err(refused) = registry.delete(&key, &DeleteOptions::default()) {
                log(owned.singular, &object, &refused);
            }
        }
    }
}

/// The reference to the controller of `object`, if it is of this type.
fn controller_of<'a>(object: &'a Value, owner: &Resource) -> Option<&'a Value> {
    items(object, "/metadata/ownerReferences")
        .iter()
        .find(|reference| reference["controller"] == true && reference["kind"] == owner.kind)
}

/// Objects of a type that `owner` controls.
fn controlled_by(
    registry: &Registry,
    resource: &'static Resource,
    owner: &Value,
) -> Vec<Arc<Value>> {
    let namespace = text(owner, "/metadata/namespace");
    let (mut objects, _) = registry.store.list(resource, Some(namespace));
    objects.retain(|object| {
        items(object, "/metadata/ownerReferences")
            .iter()
            .any(|reference| {
                reference["controller"] == true && reference["uid"] == owner["metadata"]["uid"]
            })
    });
    objects
}

/// The reference that makes `owner` the controller of a new object.
fn owner_reference(resource: &Resource, owner: &Value) -> Value {
    serde_json::json!({
        "apiVersion": resource.api_version(),
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

#[cfg(test)]
mod tests;

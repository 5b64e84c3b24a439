//! Deletion: preconditions, the grace of pods, and what goes with an owner.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Part, Registry, Writer, outcome};
use crate::{
    catalog::{NAMESPACES, PODS, RESOURCES},
    clock,
    error::Status,
    json::{items, number, object_at, text},
    store::{Key, Outcome},
};

/// The body of a DELETE.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    /// Seconds a pod has between SIGTERM and SIGKILL.
    pub(crate) grace_period_seconds: Option<i64>,
    /// `Orphan` keeps what the object owns; anything else deletes it in the background.
    pub(crate) propagation_policy: Option<String>,
    pub(crate) preconditions: Preconditions,
    pub(crate) dry_run: Vec<String>,
}

/// What must be true of the object that is deleted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

impl Registry {
    /// Deletes an object; its last state, or for a pod that gets its grace its state now.
    pub(crate) fn delete(&self, key: &Key, options: &DeleteOptions) -> Result<Arc<Value>, Status> {
        let deleted = self.store.transact(key, |current| {
            let current = current.ok_or_else(|| Status::not_found(key.resource, &key.name))?;
            options.preconditions.check(key, current)?;
            if !options.dry_run.is_empty() {
                return Ok(Outcome::Keep(Arc::clone(current)));
            }
            if *key.resource == PODS {
                let asked = options
                    .grace_period_seconds
                    .unwrap_or_else(|| number(current, "/spec/terminationGracePeriodSeconds"));
                if asked > 0 {
                    return Ok(terminating(current, asked));
                }
            }
            Ok(Outcome::Remove(Value::clone(current)))
        })?;
        if options.dry_run.is_empty() {
            if options.propagation_policy.as_deref() == Some("Orphan") {
                self.orphan(text(&deleted, "/metadata/uid"));
            }
            if *key.resource == NAMESPACES {
                self.empty_namespace(&key.name);
            }
        }
        Ok(deleted)
    }

    /// Takes the owner out of what it owned, so that it isn't collected.
    fn orphan(&self, owner: &str) {
        for resource in RESOURCES {
            for object in self.store.list(resource, None).0 {
                let owners = items(&object, "/metadata/ownerReferences");
                if owners.iter().any(|reference| reference["uid"] == owner) {
                    let kept: Vec<&Value> = owners
                        .iter()
                        .filter(|reference| reference["uid"] != owner)
                        .collect();
                    let orphaned = self.modify(
                        &Key::of(resource, &object),
                        Part::Whole,
                        "kube-controller-manager",
                        |object| {
                            object_at(object, &["metadata"])
                                .insert("ownerReferences".to_owned(), json!(kept));
                        },
                    );
                    log_refusal("orphan", orphaned);
                }
            }
        }
    }

    fn empty_namespace(&self, namespace: &str) {
        for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
            for object in self.store.list(resource, Some(namespace)).0 {
                let key = Key::of(resource, &object);
                log_refusal("delete", self.delete(&key, &DeleteOptions::default()));
            }
        }
    }
}

/// The object went in the meantime: nothing is left to do; anything else is worth a line.
fn log_refusal(what: &str, result: Result<Arc<Value>, Status>) {
    if let Err(refused) = result
        && refused.code != 404
    {
        tracing::warn!(%refused, what, "object kept as it is");
    }
}

/// A pod with its time to go. A second delete can only shorten it.
fn terminating(current: &Arc<Value>, asked: i64) -> Outcome {
    let known = current
        .pointer("/metadata/deletionGracePeriodSeconds")
        .and_then(Value::as_i64);
    let seconds = known.map_or(asked, |known| known.min(asked));
    if known == Some(seconds) {
        return Outcome::Keep(Arc::clone(current));
    }
    let mut pod = Value::clone(current);
    let metadata = object_at(&mut pod, &["metadata"]);
    let deadline = clock::rfc3339(clock::after(Timestamp::now(), seconds));
    metadata.insert("deletionTimestamp".to_owned(), json!(deadline));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(seconds));
    outcome(Some(current), pod, Writer::named("kube-apiserver"))
}

impl Preconditions {
    fn check(&self, key: &Key, current: &Value) -> Result<(), Status> {
        let holds = |said: &Option<String>, pointer: &str| {
            said.as_deref()
                .is_none_or(|said| said == text(current, pointer))
        };
        if holds(&self.uid, "/metadata/uid")
            && holds(&self.resource_version, "/metadata/resourceVersion")
        {
            return Ok(());
        }
        let why = "Precondition failed: the object is another one by now";
        Err(Status::precondition(key.resource, &key.name, why))
    }
}

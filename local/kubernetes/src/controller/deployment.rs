//! One pass over a Deployment.

use std::{cmp::Reverse, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    MANAGER, conditions,
    conditions::{Condition, PROGRESSING},
    controlled_by,
    limits::Limits,
    revision, scaling, status,
};
use crate::{
    catalog::{DEPLOYMENTS, PODS, REPLICA_SETS},
    error::Status,
    json::{number, object_at, text},
    registry::{DeleteOptions, Part, Registry},
    selector::label_selector_matches,
    store::Key,
};

/// A Deployment and its ReplicaSets as they are now.
pub(super) struct Rollout<'a> {
    pub(super) registry: &'a Registry,
    pub(super) deployment: Arc<Value>,
    /// The ReplicaSet with the Deployment's template.
    pub(super) new: Option<Arc<Value>>,
    /// All others, oldest first.
    pub(super) old: Vec<Arc<Value>>,
    pub(super) limits: Limits,
    pub(super) now: Timestamp,
}

/// Takes a Deployment one step further; when to look again though nothing changes.
pub(super) fn sync(
    registry: &Registry,
    deployment: &Arc<Value>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Status> {
    let mut rollout = Rollout::load(registry, Arc::clone(deployment), now);
    if rollout.note_pause()? {
        return Ok(None);
    }
    if rollout.is_paused() || scaling::is_asked(&rollout) {
        if revision::record(&rollout, false)? {
            return Ok(None);
        }
        scaling::scale(&rollout)?;
        rollout.reload();
        status::write(&rollout)?;
        return Ok(None);
    }
    if text(deployment, "/spec/strategy/type") == "Recreate" {
        rollout.recreate()
    } else {
        rollout.roll()
    }
}

impl<'a> Rollout<'a> {
    fn load(registry: &'a Registry, deployment: Arc<Value>, now: Timestamp) -> Self {
        let mut all = controlled_by(registry, &REPLICA_SETS, &deployment);
        all.sort_by(|one, other| {
            let created = |rs: &Value| text(rs, "/metadata/creationTimestamp").to_owned();
            (created(one), revision::of(one)).cmp(&(created(other), revision::of(other)))
        });
        let template = &deployment["spec"]["template"];
        let (mut new, old): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|rs| revision::template_of(rs) == *template);
        Self {
            registry,
            new: new.pop(),
            old,
            limits: Limits::of(&deployment),
            deployment,
            now,
        }
    }

    /// Reads everything again, after a write of our own.
    pub(super) fn reload(&mut self) {
        if let Some(deployment) = self.registry.store.get(&self.key()) {
            *self = Self::load(self.registry, deployment, self.now);
        }
    }

    pub(super) fn key(&self) -> Key {
        Key::of(&DEPLOYMENTS, &self.deployment)
    }

    pub(super) fn replicas(&self) -> i64 {
        number(&self.deployment, "/spec/replicas")
    }

    pub(super) fn is_paused(&self) -> bool {
        self.deployment["spec"]["paused"] == true
    }

    /// Old and new, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    /// Writes the Deployment's status, and its annotations with it, as its controller does.
    pub(super) fn write_status(&self, change: impl FnOnce(&mut Value)) -> Result<(), Status> {
        self.registry
            .modify(&self.key(), Part::Status, MANAGER, change)?;
        Ok(())
    }

    /// Keeps the condition that tells of a pause; whether it was written. A lack of progress that
    /// was reported isn't covered up by a pause.
    fn note_pause(&self) -> Result<bool, Status> {
        let status = &self.deployment["status"];
        let has = |reason| conditions::has_reason(status, PROGRESSING, reason);
        let (reason, message) = match (self.is_paused(), has("DeploymentPaused")) {
            (true, false) if !has("ProgressDeadlineExceeded") => {
                ("DeploymentPaused", "Deployment is paused")
            }
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return Ok(false),
        };
        let condition = Condition {
            kind: PROGRESSING,
            status: "Unknown",
            reason,
            message: message.to_owned(),
        };
        self.write_status(|deployment| {
            conditions::set(&mut deployment["status"], &condition, self.now);
        })?;
        Ok(true)
    }

    /// `RollingUpdate`: new pods come as the surge allows, old ones go as availability allows.
    fn roll(&mut self) -> Result<Option<Timestamp>, Status> {
        if revision::record(self, true)? {
            return Ok(None);
        }
        self.reload();
        if scaling::grow_new(self)? || scaling::shrink_old(self)? {
            self.reload();
            return status::write_progress(self);
        }
        self.finish()
    }

    /// `Recreate`: every old pod is gone before the first new one comes.
    fn recreate(&mut self) -> Result<Option<Timestamp>, Status> {
        if revision::record(self, false)? {
            return Ok(None);
        }
        self.reload();
        let mut scaled = false;
        for rs in &self.old {
            scaled |= scaling::resize(self, rs, 0)?;
        }
        if scaled || self.old_pods_remain() {
            self.reload();
            return status::write_progress(self);
        }
        if self.new.is_none() {
            revision::record(self, true)?;
            return Ok(None);
        }
        if scaling::grow_new(self)? {
            self.reload();
            return status::write_progress(self);
        }
        self.finish()
    }

    fn old_pods_remain(&self) -> bool {
        let namespace = text(&self.deployment, "/metadata/namespace");
        let pods = self.registry.store.list(&PODS, Some(namespace)).0;
        self.old.iter().any(|rs| {
            let selector = &rs["spec"]["selector"];
            pods.iter()
                .any(|pod| label_selector_matches(selector, &pod["metadata"]["labels"]))
        })
    }

    fn finish(&self) -> Result<Option<Timestamp>, Status> {
        if status::is_complete(self, &self.deployment["status"]) {
            self.clean_history()?;
        }
        status::write_progress(self)
    }

    /// Deletes the oldest revisions above `revisionHistoryLimit`.
    fn clean_history(&self) -> Result<(), Status> {
        let limit = number(&self.deployment, "/spec/revisionHistoryLimit");
        let mut newest_first: Vec<_> = self.old.iter().collect();
        newest_first.sort_by_key(|rs| Reverse(revision::of(rs)));
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        for rs in newest_first.into_iter().skip(kept) {
            let at_rest = number(rs, "/spec/replicas") == 0
                && number(rs, "/status/replicas") == 0
                && number(rs, "/metadata/generation") <= number(rs, "/status/observedGeneration");
            if at_rest {
                let key = Key::of(&REPLICA_SETS, rs);
                self.registry.delete(&key, &DeleteOptions::default())?;
            }
        }
        Ok(())
    }
}

/// Sets annotations of an object.
pub(super) fn annotate<'a>(
    object: &mut Value,
    annotations: impl IntoIterator<Item = (&'a str, String)>,
) {
    let map = object_at(object, &["metadata", "annotations"]);
    for (name, value) in annotations {
        map.insert(name.to_owned(), json!(value));
    }
}

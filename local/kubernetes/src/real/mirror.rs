//! What our kubelet and our Service proxy see of a real cluster, and what the cluster hears of it.
//!
//! Both work on objects in memory. The mirror brings them the namespace's Services and the pods of
//! our node, and takes back what they write: the status of pods, and that a pod has ended. Status
//! is the kubelet's alone, so it never comes from the cluster once the pod is here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{body::Body, http::Method};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{
    SCHEDULER,
    client::{Client, Content, Failed},
};
use crate::{
    catalog::{PODS, Resource, SERVICES},
    json::{items, object_at, set_or_remove, text},
    pods,
    registry::Registry,
    store::{ChangeKind, Key, Outcome},
};

/// Wait after a call that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a pod's status is sent before the next one has to do.
const TRIES: u32 = 5;
/// Longest a watch lasts before the list is read anew, seconds.
const WATCH_S: u32 = 240;
/// Fields of a pod's status that hold addresses: ours mean something on this machine only, and the
/// API server would refuse a Service's endpoints with a loopback address.
const ADDRESSES: [&str; 4] = ["hostIP", "hostIPs", "podIP", "podIPs"];

/// Copies between the cluster and the kubelet's objects.
pub(crate) struct Mirror {
    pub(crate) client: Arc<Client>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) namespace: String,
    /// Name of our node.
    pub(crate) node: String,
}

impl Mirror {
    /// Brings Services until the task is aborted.
    pub(crate) async fn services(self: Arc<Self>) {
        self.follow(&SERVICES).await;
    }

    /// Binds pods to our node and brings them, until the task is aborted.
    pub(crate) async fn pods(self: Arc<Self>) {
        self.follow(&PODS).await;
    }

    async fn follow(&self, resource: &'static Resource) {
        loop {
            if let Err(failed) = self.list_and_watch(resource).await {
                tracing::warn!(%failed, resource = resource.plural, "looking again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// One list, and the changes since until the watch ends.
    async fn list_and_watch(&self, resource: &'static Resource) -> Result<(), Failed> {
        let path = self.path(resource, "");
        let list = self.client.get(&path).await?;
        let listed = items(&list, "/items");
        for known in self.registry.store.list(resource, None).0 {
            let uid = text(&known, "/metadata/uid");
            if !listed.iter().any(|one| text(one, "/metadata/uid") == uid) {
                self.forget(resource, &known);
            }
        }
        for object in listed {
            self.take(resource, object).await?;
        }
        let since = text(&list, "/metadata/resourceVersion");
        let watch = format!("{path}?watch=true&resourceVersion={since}&timeoutSeconds={WATCH_S}");
        let answer = self.client.open(Method::GET, &watch, None).await?;
        let mut stream = Body::new(answer.into_body()).into_data_stream();
        let mut read = Vec::new();
        while let Some(chunk) = stream.next().await {
            read.extend_from_slice(&chunk.map_err(|error| Failed::NoAnswer(error.to_string()))?);
            while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = read.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line)
                    .map_err(|error| Failed::NoAnswer(error.to_string()))?;
                let object = &event["object"];
                match text(&event, "/type") {
                    "ADDED" | "MODIFIED" => self.take(resource, object).await?,
                    "DELETED" => self.forget(resource, object),
                    // The version is too old, most likely.
                    _ => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Does with an object what its state asks for.
    async fn take(&self, resource: &'static Resource, object: &Value) -> Result<(), Failed> {
        if *resource == PODS {
            let terminating = pods::is_terminating(object);
            match text(object, "/spec/nodeName") {
                "" if text(object, "/spec/schedulerName") == SCHEDULER && !terminating => {
                    return self.bind(object).await;
                }
                node if node != self.node => return Ok(()),
                // Told to end and not here: it has ended, or an earlier run left it.
                _ if terminating && !self.is_here(object) => return self.end(object).await,
                _ => {}
            }
        }
        self.keep(resource, object);
        Ok(())
    }

    /// Says that the pod is to run on our node.
    async fn bind(&self, pod: &Value) -> Result<(), Failed> {
        let name = text(pod, "/metadata/name");
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self.node},
        });
        let path = self.path(&PODS, &format!("/{name}/binding"));
        let body = Some((Content::Json, &binding));
        match self.client.call(Method::POST, &path, body).await {
            Ok(_) => Ok(()),
            // Gone, or bound by now: the watch tells.
            Err(failed) if failed.is(404) || failed.is(409) => Ok(()),
            Err(failed) => Err(failed),
        }
    }

    fn is_here(&self, pod: &Value) -> bool {
        let here = self.registry.store.get(&Key::of(&PODS, pod));
        here.is_some_and(|here| here["metadata"]["uid"] == pod["metadata"]["uid"])
    }

    /// Puts an object where the kubelet and the proxy see it.
    fn keep(&self, resource: &'static Resource, object: &Value) {
        let key = Key::of(resource, object);
        let kept = self.registry.store.transact(&key, |current| {
            let current =
                current.filter(|current| current["metadata"]["uid"] == object["metadata"]["uid"]);
            let new = merged(resource, object, current.map(Arc::as_ref));
            Ok(match current {
                Some(current) if **current == new => Outcome::Keep(Arc::clone(current)),
                _ => Outcome::Put(new),
            })
        });
        if let Err(refused) = kept {
            tracing::warn!(%refused, name = key.name, "not mirrored");
        }
    }

    /// Takes an object out of their sight.
    fn forget(&self, resource: &'static Resource, object: &Value) {
        let key = Key::of(resource, object);
        let forgotten = self.registry.store.transact(&key, |current| {
            let none = || crate::error::Status::not_found(resource, &key.name);
            let current = current.ok_or_else(none)?;
            if current["metadata"]["uid"] != object["metadata"]["uid"] {
                return Err(none());
            }
            Ok(Outcome::Remove(Value::clone(current)))
        });
        if let Err(refused) = forgotten {
            tracing::debug!(%refused, "was never here");
        }
    }

    /// Tells the cluster what the kubelet writes, until the task is aborted.
    pub(crate) async fn tell(self: Arc<Self>) {
        let store = &self.registry.store;
        let mut changes = store.subscribe();
        let mut version = store.list(&PODS, None).1;
        let mut told: BTreeMap<String, Value> = BTreeMap::new();
        loop {
            changes.mark_unchanged();
            let latest = match store.changes_after(version, &PODS, None) {
                Ok((since, latest)) => {
                    for ended in since.iter().filter(|one| one.kind == ChangeKind::Deleted) {
                        told.remove(text(&ended.object, "/metadata/uid"));
                        self.insist(|| self.end(&ended.object)).await;
                    }
                    latest
                }
                // Too far behind: what has ended in the meantime is found by its absence.
                Err(_) => store.list(&PODS, None).1,
            };
            for pod in store.list(&PODS, None).0 {
                let status = status(&pod);
                let before = told.insert(text(&pod, "/metadata/uid").to_owned(), status.clone());
                if before.as_ref() != Some(&status) {
                    self.insist(|| self.report(&pod, &status)).await;
                }
            }
            version = latest;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tries until it is done, or often enough.
    async fn insist<F: Future<Output = Result<(), Failed>>>(&self, call: impl Fn() -> F) {
        for tries in 1..=TRIES {
            match call().await {
                Ok(()) => return,
                Err(failed) if tries == TRIES => {
                    tracing::error!(%failed, "not told to the cluster");
                }
                Err(failed) => {
                    tracing::warn!(%failed, "telling the cluster again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn report(&self, pod: &Value, status: &Value) -> Result<(), Failed> {
        let path = self.path(&PODS, &format!("/{}/status", text(pod, "/metadata/name")));
        let news = json!({"metadata": {"uid": pod["metadata"]["uid"]}, "status": status});
        let body = Some((Content::MergePatch, &news));
        match self.client.call(Method::PATCH, &path, body).await {
            Ok(_) => Ok(()),
            // Gone, or another one has the name.
            Err(failed) if failed.is(404) || failed.is(409) => Ok(()),
            Err(failed) => Err(failed),
        }
    }

    /// The pod has ended: its object may go.
    async fn end(&self, pod: &Value) -> Result<(), Failed> {
        let path = self.path(&PODS, &format!("/{}", text(pod, "/metadata/name")));
        let uid = text(pod, "/metadata/uid");
        self.client.delete(&path, Some(uid)).await
    }

    fn path(&self, resource: &Resource, rest: &str) -> String {
        let (namespace, plural) = (&self.namespace, resource.plural);
        format!("/api/v1/namespaces/{namespace}/{plural}{rest}")
    }
}

/// The cluster's object with what the kubelet has written.
fn merged(resource: &Resource, object: &Value, current: Option<&Value>) -> Value {
    let mut new = object.clone();
    // Lists leave these out.
    new["kind"] = json!(resource.kind);
    new["apiVersion"] = json!(resource.api_version());
    let version = current.and_then(|current| current.pointer("/metadata/resourceVersion"));
    let metadata = object_at(&mut new, &["metadata"]);
    metadata.remove("managedFields");
    set_or_remove(metadata, "resourceVersion", version.cloned());
    if *resource == PODS
        && let Some(current) = current
    {
        set_or_remove(
            object_at(&mut new, &[]),
            "status",
            current.get("status").cloned(),
        );
        let ports = crate::json::strings(current, "/metadata/annotations")
            .filter(|(name, _)| name.starts_with(pods::PORT_ANNOTATION));
        for (name, port) in ports {
            object_at(&mut new, &["metadata", "annotations"]).insert(name.to_owned(), json!(port));
        }
    }
    new
}

/// What the cluster is told of a pod's status.
fn status(pod: &Value) -> Value {
    let mut status = pod["status"].clone();
    for field in ADDRESSES {
        crate::json::object(&mut status).remove(field);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_ports_are_the_kubelets() {
        let here = json!({
            "metadata": {"uid": "1", "resourceVersion": "7", "annotations": {
                "serve-port.local/api": "1001", "old": "gone"}},
            "status": {"phase": "Running", "podIP": "127.0.0.1"},
        });
        let there = json!({
            "metadata": {"uid": "1", "resourceVersion": "900", "annotations": {"new": "kept"},
                "deletionTimestamp": "2026-11-23T02:00:00Z", "managedFields": []},
            "status": {"phase": "Pending"},
        });
        let merged = merged(&PODS, &there, Some(&here));
        assert_eq!(merged["status"], here["status"]);
        assert_eq!(
            merged["metadata"],
            json!({
                "uid": "1",
                "resourceVersion": "7",
                "deletionTimestamp": "2026-11-23T02:00:00Z",
                "annotations": {"serve-port.local/api": "1001", "new": "kept"},
            })
        );
        assert_eq!(status(&merged), json!({"phase": "Running"}));
    }
}

//! Objects with one version counter, and the changes that watches replay.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    catalog::Resource,
    error::Status,
    json::{object_at, text},
};

/// Changes kept for watches; an older start is answered with 410, and the client lists again.
const HISTORY: usize = 2048;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) resource: &'static Resource,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        let namespace = if resource.namespaced { namespace } else { "" };
        Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The key of an object of this type.
    pub(crate) fn of(resource: &'static Resource, object: &Value) -> Self {
        let namespace = text(object, "/metadata/namespace");
        Self::new(resource, namespace, text(object, "/metadata/name"))
    }
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One write, as watches see it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) kind: ChangeKind,
    pub(crate) key: Key,
    /// The object after the change; its last state for a deletion.
    pub(crate) object: Arc<Value>,
    /// The object before it.
    pub(crate) previous: Option<Arc<Value>>,
}

/// What a transaction wants done with the object.
pub(crate) enum Outcome {
    /// Nothing; this is the answer.
    Keep(Arc<Value>),
    /// This is the new state.
    Put(Value),
    /// The object goes; this is its last state.
    Remove(Value),
}

struct Inner {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
}

/// All objects of the cluster.
pub(crate) struct Store {
    inner: Mutex<Inner>,
    latest: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                version: 1,
                objects: BTreeMap::new(),
                history: VecDeque::new(),
            }),
            latest: watch::Sender::new(1),
        }
    }

    /// The version of the last write; changes with every write.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }

    /// Objects of a type in name order, with the version of the list. `None` is all namespaces.
    pub(crate) fn list(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
    ) -> (Vec<Arc<Value>>, u64) {
        let inner = self.lock();
        let first = Key::new(resource, namespace.unwrap_or_default(), "");
        let objects = inner
            .objects
            .range(first..)
            .take_while(|(key, _)| {
                key.resource == resource
                    && namespace.is_none_or(|namespace| key.namespace == namespace)
            })
            .map(|(_, object)| Arc::clone(object))
            .collect();
        (objects, inner.version)
    }

    /// Changes of a type after `version`, in order.
    pub(crate) fn changes_after(
        &self,
        version: u64,
        resource: &'static Resource,
        namespace: Option<&str>,
    ) -> Result<(Vec<Change>, u64), Status> {
        let inner = self.lock();
        if let Some(oldest) = inner.history.front()
            && version + 1 < oldest.version
        {
            return Err(Status::expired(version, oldest.version));
        }
        let start = inner
            .history
            .partition_point(|change| change.version <= version);
        let changes = inner
            .history
            .range(start..)
            .filter(|change| {
                change.key.resource == resource
                    && namespace.is_none_or(|namespace| change.key.namespace == namespace)
            })
            .cloned()
            .collect();
        Ok((changes, inner.version))
    }

    /// Reads, decides and writes one object in one step.
    pub(crate) fn transact(
        &self,
        key: &Key,
        decide: impl FnOnce(Option<&Arc<Value>>) -> Result<Outcome, Status>,
    ) -> Result<Arc<Value>, Status> {
        let mut inner = self.lock();
        let (kind, mut object) = match decide(inner.objects.get(key))? {
            Outcome::Keep(object) => return Ok(object),
            Outcome::Put(object) if inner.objects.contains_key(key) => {
                (ChangeKind::Modified, object)
            }
            Outcome::Put(object) => (ChangeKind::Added, object),
            Outcome::Remove(object) => (ChangeKind::Deleted, object),
        };
        inner.version += 1;
        let version = inner.version;
        object_at(&mut object, &["metadata"])
            .insert("resourceVersion".to_owned(), json!(version.to_string()));
        let object = Arc::new(object);
        let previous = if kind == ChangeKind::Deleted {
            inner.objects.remove(key)
        } else {
            inner.objects.insert(key.clone(), Arc::clone(&object))
        };
        if inner.history.len() == HISTORY {
            inner.history.pop_front();
        }
        inner.history.push_back(Change {
            version,
            kind,
            key: key.clone(),
            object: Arc::clone(&object),
            previous,
        });
        // Under the lock, so that the announced version never goes back.
        self.latest.send_replace(version);
        Ok(object)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every write is complete before it is visible, so a panic elsewhere leaves no half object.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{DEPLOYMENTS, PODS};

    fn put(store: &Store, key: &Key, value: Value) -> Arc<Value> {
        store.transact(key, |_| Ok(Outcome::Put(value))).unwrap()
    }

    #[test]
    fn versions_rise_and_changes_replay_in_order() {
        let store = Store::new();
        let (_, start) = store.list(&PODS, None);
        let pod = Key::new(&PODS, "shop", "a");
        let other = Key::new(&DEPLOYMENTS, "shop", "a");
        let first = put(&store, &pod, json!({"n": 1}));
        put(&store, &other, json!({}));
        let second = put(&store, &pod, json!({"n": 2}));
        assert!(
            first["metadata"]["resourceVersion"] != second["metadata"]["resourceVersion"],
            "each write has its own version"
        );
        store
            .transact(&pod, |object| {
                Ok(Outcome::Remove(Value::clone(object.unwrap())))
            })
            .unwrap();
        let (changes, _) = store.changes_after(start, &PODS, Some("shop")).unwrap();
        let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
        assert_eq!(
            kinds,
            [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted]
        );
        assert!(store.get(&pod).is_none());
        assert!(
            store
                .changes_after(start, &PODS, Some("else"))
                .unwrap()
                .0
                .is_empty()
        );
    }

    #[test]
    fn a_start_older_than_the_history_has_expired() {
        let store = Store::new();
        let pod = Key::new(&PODS, "shop", "a");
        for n in 0..=HISTORY {
            put(&store, &pod, json!({"n": n}));
        }
        assert_eq!(store.changes_after(1, &PODS, None).unwrap_err().code, 410);
    }

    #[test]
    fn a_list_stops_at_its_namespace() {
        let store = Store::new();
        for (namespace, name) in [("a", "x"), ("b", "x"), ("b", "y"), ("c", "x")] {
            put(&store, &Key::new(&PODS, namespace, name), json!({}));
        }
        assert_eq!(store.list(&PODS, Some("b")).0.len(), 2);
        assert_eq!(store.list(&PODS, None).0.len(), 4);
    }
}

//! What the stand-in is given by the rest of the local cloud, and what the tests see of it: a store, a
//! recorder of events, alarms, permissions and images.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use local_sagemaker::{ObjectStore, StoreError};
use local_wire::{
    AlarmState, Authorize, BoxFuture, Caller, Deliver, ImageSpec, Images, Refused, Watch,
};
use serde_json::Value;

/// A failed test poisons nothing that another reads.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Buckets as folders.
#[derive(Clone)]
pub(crate) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(crate) fn write(&self, bucket: &str, key: &str, body: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.0.join(bucket).join(key);
        std::fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
        std::fs::write(path, body)
    }

    pub(crate) fn read(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(bucket).join(key))
    }

    pub(crate) fn text(&self, bucket: &str, key: &str) -> anyhow::Result<String> {
        let body = self.read(bucket, key).context(key.to_owned())?;
        Ok(String::from_utf8(body)?)
    }
}

fn keys(folder: &Path, base: &Path, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            keys(&path, base, found)?;
        } else if let Ok(key) = path.strip_prefix(base) {
            found.push(key.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

impl ObjectStore for Folder {
    fn get<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        Box::pin(async move {
            match self.read(bucket, key) {
                Ok(body) => Ok(Some(body.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(StoreError(error.to_string())),
            }
        })
    }

    fn put<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        body: Bytes,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let written = self.write(bucket, key, body);
            written.map_err(|error| StoreError(error.to_string()))
        })
    }

    fn list<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<String>, StoreError>> {
        Box::pin(async move {
            let base = self.0.join(bucket);
            let mut found = Vec::new();
            let listed = keys(&base, &base, &mut found);
            listed.map_err(|error| StoreError(format!("NoSuchBucket: {bucket}: {error}")))?;
            found.retain(|key| key.starts_with(prefix));
            Ok(found)
        })
    }
}

/// Keeps every event; fails the first `failures` deliveries.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Value>>,
    failures: AtomicU32,
}

impl Recorder {
    pub(crate) fn fail_next(&self, times: u32) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// Details of the events of a type, in the order they arrived.
    pub(crate) fn details(&self, detail_type: &str) -> Vec<Value> {
        let envelopes = self.envelopes(detail_type);
        envelopes.into_iter().map(|e| e["detail"].clone()).collect()
    }

    pub(crate) fn envelopes(&self, detail_type: &str) -> Vec<Value> {
        let events = lock(&self.events);
        let wanted = events.iter().filter(|e| e["detail-type"] == detail_type);
        wanted.cloned().collect()
    }

    /// Waits until `count` events of a type are here, and returns their details.
    pub(crate) async fn wait(&self, detail_type: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        let start = Instant::now();
        loop {
            let details = self.details(detail_type);
            if details.len() >= count {
                return Ok(details);
            }
            if start.elapsed() > super::PATIENCE {
                bail!(
                    "{} of {count} events of {detail_type}: {details:#?}",
                    details.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Deliver for Recorder {
    fn deliver(&self, event: Value) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let fail = |left: u32| left.checked_sub(1);
            if self
                .failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail)
                .is_ok()
            {
                return Err("the rules can't be reached".to_owned());
            }
            lock(&self.events).push(event);
            Ok(())
        })
    }
}

/// Alarms as a test sets them, and every data point that was put.
#[derive(Default)]
pub(crate) struct Alarms {
    states: Mutex<BTreeMap<String, String>>,
    pub(crate) data: Mutex<Vec<Value>>,
    /// The roles that looked.
    pub(crate) roles: Mutex<Vec<String>>,
}

impl Alarms {
    pub(crate) fn set(&self, name: &str, state: &str) {
        lock(&self.states).insert(name.to_owned(), state.to_owned());
    }
}

impl Watch for Alarms {
    fn put_metrics<'a>(
        &'a self,
        namespace: &'a str,
        data: Vec<Value>,
    ) -> BoxFuture<'a, Result<(), String>> {
        assert_eq!(namespace, "AWS/SageMaker");
        lock(&self.data).extend(data);
        Box::pin(async { Ok(()) })
    }

    fn alarms<'a>(
        &'a self,
        role_arn: &'a str,
        names: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<AlarmState>, String>> {
        lock(&self.roles).push(role_arn.to_owned());
        let states = lock(&self.states);
        let found = names.iter().filter_map(|name| {
            Some(AlarmState {
                name: name.clone(),
                state: states.get(name)?.clone(),
                reason: "Threshold Crossed".to_owned(),
            })
        });
        let found = found.collect();
        Box::pin(async { Ok(found) })
    }
}

/// Refuses what starts with one of these `{action} {resource}` texts, and remembers what was asked.
#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) refused: Mutex<Vec<String>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Authorize for Gate {
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        action: &'a str,
        resource: &'a str,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        let asked = format!("{action} {resource}");
        let refused = lock(&self.refused);
        let refuse = refused.iter().any(|start| asked.starts_with(start));
        lock(&self.asked).push(asked);
        let who = caller.access_key_id.clone();
        Box::pin(async move {
            if refuse {
                Err(Refused(format!(
                    "User: {who} is not authorized to perform: {action} on resource: {resource}"
                )))
            } else {
                Ok(())
            }
        })
    }
}

/// Images: a shell script for each, and one that serves.
#[derive(Default)]
pub(crate) struct Scripts(pub(super) Mutex<BTreeMap<String, ImageSpec>>);

impl Images for Scripts {
    fn resolve<'a>(
        &'a self,
        reference: &'a str,
    ) -> BoxFuture<'a, Result<Option<ImageSpec>, String>> {
        let found = lock(&self.0).get(reference).cloned();
        Box::pin(async move { Ok(found) })
    }
}

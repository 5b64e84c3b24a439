//! Reading and keeping JSON records through the object store.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Result,
    layout::{Artifacts, Location},
    names,
    ports::{Condition, ObjectStore, Swap},
    release::{Manifest, Pointer},
};

const JSON: &str = "application/json";

/// A record and the entity tag that a compare-and-swap needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The record.
    pub value: T,
    /// Entity tag; `None` when nothing is stored yet.
    pub etag: Option<String>,
}

/// The record as stored: readable, one field a line.
pub fn to_json(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(record)
        .map_err(|error| Error::permanent("a record can't be written as JSON").because(error))
}

/// Reads a record; what can't be read as `T` is an error that names the object.
pub async fn read<T: DeserializeOwned>(
    store: &impl ObjectStore,
    at: &Location,
) -> Result<Option<T>> {
    Ok(find(store, at).await?.map(|record| record.value))
}

/// Reads a record that has to be there.
pub async fn require<T: DeserializeOwned>(
    store: &impl ObjectStore,
    at: &Location,
    what: &str,
) -> Result<T> {
    read(store, at)
        .await?
        .ok_or_else(|| Error::permanent(format!("{what} is missing: {at}")))
}

/// Reads a record with what a compare-and-swap needs; the default when nothing is stored.
pub async fn read_versioned<T: DeserializeOwned + Default>(
    store: &impl ObjectStore,
    at: &Location,
) -> Result<Versioned<T>> {
    let found = find(store, at).await?;
    Ok(found.unwrap_or_else(|| Versioned {
        value: T::default(),
        etag: None,
    }))
}

async fn find<T: DeserializeOwned>(
    store: &impl ObjectStore,
    at: &Location,
) -> Result<Option<Versioned<T>>> {
    let Some(object) = store.get(at).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&object.bytes).map_err(|error| {
        Error::permanent(format!("{at} is not the record expected: {error}")).because(error)
    })?;
    Ok(Some(Versioned {
        value,
        etag: Some(object.etag),
    }))
}

/// Writes a record, whatever was there.
pub async fn write(store: &impl ObjectStore, at: &Location, record: &impl Serialize) -> Result<()> {
    store.put(at, to_json(record)?, JSON).await
}

/// Writes a record unless one is there, which then stays.
pub async fn write_once(
    store: &impl ObjectStore,
    at: &Location,
    record: &impl Serialize,
) -> Result<Swap> {
    store.swap(at, to_json(record)?, Condition::Absent).await
}

/// Replaces a record that was read before, when it is still the one that was read. Somebody else's
/// write meanwhile is transient: the event is decided again.
pub async fn swap<T>(
    store: &impl ObjectStore,
    at: &Location,
    read: &Versioned<T>,
    record: &impl Serialize,
) -> Result<()> {
    let condition = read
        .etag
        .clone()
        .map_or(Condition::Absent, Condition::Unchanged);
    match store.swap(at, to_json(record)?, condition).await? {
        Swap::Done => Ok(()),
        Swap::Lost => Err(Error::transient(format!(
            "{at} was written meanwhile; the event is decided again"
        ))),
    }
}

/// Keeps a decision before its effects, so that the reason survives a crash among them. The same
/// decision is kept once.
pub async fn keep_decision(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    function: &str,
    subject: &str,
    decision: &impl Serialize,
) -> Result<()> {
    let (at, bytes) = decision_record(artifacts, function, subject, decision)?;
    // Lost means that it is there already: its name is its content.
    let (Swap::Done | Swap::Lost) = store.swap(&at, bytes, Condition::Absent).await?;
    Ok(())
}

/// Keeps a decision at a place that is computed from something else than its content, so that it can be read
/// again. What is there already stays.
pub async fn keep_at(
    store: &impl ObjectStore,
    at: &Location,
    decision: &impl Serialize,
) -> Result<()> {
    let (Swap::Done | Swap::Lost) = write_once(store, at, decision).await?;
    Ok(())
}

/// Whether this very decision was kept before.
pub async fn is_kept(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    function: &str,
    subject: &str,
    decision: &impl Serialize,
) -> Result<bool> {
    let (at, _) = decision_record(artifacts, function, subject, decision)?;
    Ok(store.get(&at).await?.is_some())
}

/// Where a decision is kept, and as what: its name is its content.
fn decision_record(
    artifacts: &Artifacts,
    function: &str,
    subject: &str,
    decision: &impl Serialize,
) -> Result<(Location, Vec<u8>)> {
    let bytes = to_json(decision)?;
    let digest = names::digest_bytes(&bytes);
    let at = artifacts.decision(function, subject, names::short(&digest));
    Ok((at, bytes))
}

/// The environment's pointer; an empty one before the first release. It is moved by [`swap`].
pub async fn pointer(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    environment: &str,
) -> Result<Versioned<Pointer>> {
    let found = find(store, &artifacts.pointer(environment)).await?;
    Ok(found.unwrap_or_else(|| Versioned {
        value: Pointer::empty(environment),
        etag: None,
    }))
}

/// A stored release manifest.
pub async fn manifest(
    store: &impl ObjectStore,
    artifacts: &Artifacts,
    release: &str,
) -> Result<Manifest> {
    require(
        store,
        &artifacts.release(release),
        "the manifest of a release that the pointer names",
    )
    .await
}

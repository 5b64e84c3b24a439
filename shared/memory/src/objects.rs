//! S3: objects with versions, entity tags that change on each write, and conditional writes.

use std::{collections::BTreeMap, path::Path, rc::Rc};

use domain::{
    Error, Result,
    layout::Location,
    ports::{Condition, Ensured, Head, Object, ObjectStore, Swap},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{World, state::State};

/// One version of an object.
#[derive(Debug, Clone)]
struct Version {
    id: String,
    etag: String,
    written: Timestamp,
    /// Shared with every world that went on from one with this version; none in a delete marker.
    bytes: Option<Rc<[u8]>>,
}

impl Version {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or_default()
    }
}

/// The versions of every object, the current one last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects(BTreeMap<Location, Vec<Version>>);

impl Objects {
    fn current(&self, at: &Location) -> Option<&Version> {
        let last = self.0.get(at)?.last();
        last.filter(|version| version.bytes.is_some())
    }

    fn version(&self, at: &Location, id: Option<&str>) -> Option<&Version> {
        match id {
            Some(id) => {
                let mut versions = self.0.get(at)?.iter();
                versions.find(|version| version.id == id && version.bytes.is_some())
            }
            None => self.current(at),
        }
    }

    /// Content of the object at `s3://bucket/key`.
    pub(crate) fn at_uri(&self, uri: &str) -> Option<&[u8]> {
        self.bytes(&Location::parse(uri)?)
    }

    /// Content of an object.
    pub(crate) fn bytes(&self, at: &Location) -> Option<&[u8]> {
        self.current(at)?.bytes.as_deref()
    }

    /// Whether an object lies under `s3://bucket/prefix`.
    pub(crate) fn any_under(&self, uri: &str) -> bool {
        Location::parse(uri).is_some_and(|prefix| {
            self.0
                .keys()
                .any(|at| at.bucket == prefix.bucket && at.key.starts_with(&prefix.key))
        })
    }

    /// Every object with its content.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Location, &[u8])> {
        self.0.keys().filter_map(|at| Some((at, self.bytes(at)?)))
    }
}

impl State {
    /// Writes an object, whoever does it.
    pub(crate) fn store(&mut self, at: &Location, bytes: Vec<u8>) -> Ensured {
        let same = self.objects.bytes(at) == Some(bytes.as_slice());
        self.push(at, Some(bytes));
        if same {
            Ensured::AlreadySo
        } else {
            Ensured::Made
        }
    }

    fn push(&mut self, at: &Location, bytes: Option<Vec<u8>>) {
        let (number, written) = (self.next(), self.now);
        let versions = self.objects.0.entry(at.clone()).or_default();
        versions.push(Version {
            // Nobody else's writes show in it, so that a story is told in the same words after a crash.
            id: format!("version-{}", versions.len() + 1),
            etag: format!("\"{number:032x}\""),
            written,
            bytes: bytes.map(Into::into),
        });
    }
}

impl World {
    /// The content of an object.
    pub fn read(&self, at: &Location) -> Option<Vec<u8>> {
        self.state.borrow().objects.bytes(at).map(<[u8]>::to_vec)
    }

    /// The content of an object, when it is there and is JSON.
    pub fn read_json(&self, at: &Location) -> Option<Value> {
        serde_json::from_slice(self.state.borrow().objects.bytes(at)?).ok()
    }

    /// Writes an object without an event.
    pub fn write(&self, at: &Location, bytes: impl Into<Vec<u8>>) {
        self.state.borrow_mut().store(at, bytes.into());
    }

    /// Deletes an object with all its versions.
    pub fn delete(&self, at: &Location) {
        self.state.borrow_mut().objects.0.remove(at);
    }

    /// Deletes an object as S3 does where versions are kept: they stay, below a marker.
    pub fn mark_deleted(&self, at: &Location) {
        self.state.borrow_mut().push(at, None);
    }

    /// Uploads an object and answers S3's `Object Created` event.
    pub fn upload(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) -> Value {
        let at = Location::new(bucket, key);
        let mut state = self.state.borrow_mut();
        state.store(&at, bytes.into());
        let object = state.objects.current(&at).map(|version| {
            json!({
                "key": key,
                "size": version.bytes().len(),
                "etag": version.etag.trim_matches('"'),
                "version-id": version.id,
            })
        });
        let mut detail = json!({
            "version": "0",
            "bucket": { "name": bucket },
            "object": object,
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": crate::ACCOUNT,
            "source-ip-address": "192.0.2.1",
            "reason": "PutObject",
        });
        detail["object"]["sequencer"] = json!(format!("{:018X}", state.next()));
        let resources = [format!("arn:aws:s3:::{bucket}")];
        state.envelope("aws.s3", "Object Created", &resources, &detail)
    }
}

impl ObjectStore for World {
    async fn get(&self, at: &Location) -> Result<Option<Object>> {
        self.look("get", &at.to_string(), |state| {
            state.objects.current(at).map(|version| Object {
                bytes: version.bytes().to_vec(),
                etag: version.etag.clone(),
            })
        })
        .await
    }

    async fn head(&self, at: &Location, version: Option<&str>) -> Result<Option<Head>> {
        self.look("head", &at.to_string(), |state| {
            let version = state.objects.version(at, version)?;
            Some(Head {
                bytes: version.bytes().len().try_into().unwrap_or(u64::MAX),
                version: Some(version.id.clone()),
                written: version.written,
            })
        })
        .await
    }

    async fn download(
        &self,
        at: &Location,
        version: Option<&str>,
        to: &Path,
    ) -> Result<Option<()>> {
        let bytes = self
            .look("download", &at.to_string(), |state| {
                let version = state.objects.version(at, version)?;
                Some(version.bytes().to_vec())
            })
            .await?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        std::fs::write(to, bytes)
            .map_err(|error| Error::transient(format!("write {}", to.display())).because(error))?;
        Ok(Some(()))
    }

    async fn put(&self, at: &Location, bytes: Vec<u8>, _content_type: &str) -> Result<()> {
        self.effect("put", &at.to_string(), |state| {
            Ok(((), state.store(at, bytes)))
        })
        .await
    }

    async fn upload(&self, from: &Path, at: &Location, _content_type: &str) -> Result<()> {
        let bytes = std::fs::read(from)
            .map_err(|error| Error::transient(format!("read {}", from.display())).because(error))?;
        self.effect("upload", &at.to_string(), |state| {
            Ok(((), state.store(at, bytes)))
        })
        .await
    }

    async fn swap(&self, at: &Location, bytes: Vec<u8>, condition: Condition) -> Result<Swap> {
        self.effect("swap", &at.to_string(), |state| {
            let current = state.objects.current(at);
            let holds = match &condition {
                Condition::Absent => current.is_none(),
                Condition::Unchanged(etag) => current.is_some_and(|now| now.etag == *etag),
            };
            if holds {
                Ok((Swap::Done, state.store(at, bytes)))
            } else {
                Ok((Swap::Lost, Ensured::AlreadySo))
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{envelope::assert_like_sample, ready};

    fn at() -> Location {
        Location::new("artifacts", "environments/dev/pointer.json")
    }

    fn swap(world: &World, bytes: &str, condition: Condition) -> Swap {
        ready(world.swap(&at(), bytes.into(), condition)).unwrap()
    }

    #[test]
    fn one_of_two_writers_who_read_the_same_wins() {
        let world = World::new();
        assert_eq!(swap(&world, "a", Condition::Absent), Swap::Done);
        assert_eq!(swap(&world, "b", Condition::Absent), Swap::Lost);

        let read = ready(world.get(&at())).unwrap().unwrap();
        let unchanged = Condition::Unchanged(read.etag);
        assert_eq!(swap(&world, "c", unchanged.clone()), Swap::Done);
        assert_eq!(swap(&world, "d", unchanged), Swap::Lost);
        assert_eq!(world.read(&at()).unwrap(), b"c");
    }

    #[test]
    fn the_same_bytes_written_again_are_another_version() {
        let world = World::new();
        world.write(&at(), "a");
        let first = ready(world.get(&at())).unwrap().unwrap();
        world.write(&at(), "a");
        let unchanged = Condition::Unchanged(first.etag);
        assert_eq!(swap(&world, "b", unchanged), Swap::Lost);
    }

    #[test]
    fn what_is_gone_was_changed() {
        let world = World::new();
        let unchanged = Condition::Unchanged("\"0\"".to_owned());
        assert_eq!(swap(&world, "a", unchanged), Swap::Lost);
        assert_eq!(world.read(&at()), None);
    }

    #[test]
    fn an_upload_tells_its_version_and_that_version_stays_readable() {
        let world = World::new();
        let event = world.upload("data", "training/sales.csv", "old");
        world.upload("data", "training/sales.csv", "newer");
        assert_like_sample(&event, "object-created/training-upload");
        assert_eq!(event["detail"]["object"]["size"], 3);

        let version = event["detail"]["object"]["version-id"].as_str();
        let to = std::env::temp_dir().join(format!("memory-version-{}", std::process::id()));
        let source = Location::new("data", "training/sales.csv");
        ready(world.download(&source, version, &to)).unwrap();
        let downloaded = std::fs::read(&to).unwrap();
        std::fs::remove_file(&to).unwrap();
        assert_eq!(downloaded, b"old");
        let missing = ready(world.download(&source, Some("version-0"), &to)).unwrap();
        assert_eq!(missing, None);
    }
}

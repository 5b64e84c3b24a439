//! The four kinds of patch.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Part, Registry, Writer, check_preconditions, outcome, prepare};
use crate::{
    error::{Cause, Status},
    fields,
    json::{items, object, object_at},
    store::Key,
    strategic,
};

/// A patch, by its media type.
#[derive(Debug)]
pub(crate) enum Patch {
    /// `application/json-patch+json`, RFC 6902.
    Json(json_patch::Patch),
    /// `application/merge-patch+json`, RFC 7386.
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
    /// `application/apply-patch+yaml`: all that a manager wants of the object.
    Apply { config: Value, force: bool },
}

/// Media types of patches, as a refusal lists them.
pub(crate) const ACCEPTED: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml (in JSON)";

impl Patch {
    /// Reads a patch.
    pub(crate) fn parse(media_type: &str, force: bool, body: &[u8]) -> Result<Self, Status> {
        let read = |body| {
            serde_json::from_slice::<Value>(body)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
        };
        match media_type {
            "application/json-patch+json" => serde_json::from_slice(body)
                .map(Self::Json)
                .map_err(|error| Status::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" => read(body).map(Self::Merge),
            "application/strategic-merge-patch+json" => read(body).map(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply {
                config: read(body)?,
                force,
            }),
            _ => Err(Status::unsupported_media_type(ACCEPTED)),
        }
    }
}

impl Registry {
    /// Patches an object. An apply makes the object when there is none.
    pub(crate) fn patch(
        &self,
        key: &Key,
        part: Part,
        patch: Patch,
        writer: Writer<'_>,
    ) -> Result<Arc<Value>, Status> {
        match patch {
            Patch::Apply { config, force } => self.apply(key, part, config, force, writer),
            Patch::Json(patch) => self.update(key, part, writer, |current, _| {
                let mut new = current.clone();
                json_patch::patch(&mut new, &patch).map_err(|_| Status::patch_rejected())?;
                Ok(new)
            }),
            Patch::Merge(patch) => self.update(key, part, writer, |current, _| {
                let mut new = current.clone();
                json_patch::merge(&mut new, &patch);
                Ok(new)
            }),
            Patch::Strategic(patch) => self.update(key, part, writer, |current, _| {
                let mut new = current.clone();
                strategic::merge(&mut new, &patch)?;
                Ok(new)
            }),
        }
    }

    fn apply(
        &self,
        key: &Key,
        part: Part,
        mut config: Value,
        force: bool,
        writer: Writer<'_>,
    ) -> Result<Arc<Value>, Status> {
        if writer.manager.is_empty() {
            let mut cause = Cause::required("fieldManager");
            cause.message.push_str(": is required for apply patch");
            return Err(Status::invalid(key.resource, &key.name, &[cause]));
        }
        if !items(&config, "/metadata/managedFields").is_empty() {
            let why = "metadata.managedFields must be nil";
            return Err(Status::bad_request(why));
        }
        self.check_namespace(key)?;
        // A null here means "absent"; and what this door doesn't open isn't applied through it.
        object_at(&mut config, &["metadata"]).retain(|_, value| !value.is_null());
        if key.resource.status {
            match part {
                Part::Whole => object(&mut config).remove("status"),
                Part::Status => object(&mut config).remove("spec"),
            };
        }
        self.store.transact(key, |current| {
            let now = Timestamp::now();
            let nothing = json!({});
            let live = current.map_or(&nothing, Arc::as_ref);
            if current.is_none() && part == Part::Status {
                return Err(Status::not_found(key.resource, &key.name));
            }
            check_preconditions(key, live, &config)?;
            object_at(&mut config, &["metadata"]).remove("resourceVersion");
            let manager = writer.manager(key.resource, part);
            let mut new = fields::apply(live, &config, &manager, force, now)
                .map_err(|conflicts| Status::apply_conflict(&conflicts))?;
            let owners = new.pointer("/metadata/managedFields").cloned();
            prepare(key, part, current.map(Arc::as_ref), &mut new, now)?;
            if let Some(owners) = owners {
                object_at(&mut new, &["metadata"]).insert("managedFields".to_owned(), owners);
            }
            Ok(outcome(current, new, writer))
        })
    }
}

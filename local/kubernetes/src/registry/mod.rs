//! Writes as an API server makes them: defaults, rules, generation, field ownership, versions.
//!
//! The API and the controllers write through here alike.

mod deletion;
mod patch;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use self::{
    deletion::{DeleteOptions, Preconditions},
    patch::Patch,
};
use crate::{
    catalog::{NAMESPACES, PODS, Resource},
    clock, defaults,
    error::Status,
    fields::{Manager, record_update},
    json::{number, object, object_at, set_or_remove, text},
    store::{Key, Outcome, Store},
    validate,
};

/// Which door a write comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The object itself; its status stays, where status has a door of its own.
    Whole,
    /// The `/status` subresource; spec and labels stay.
    Status,
}

/// Who writes, and whether it is for real.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    /// Field manager.
    pub(crate) manager: &'a str,
    /// Answer what would be, write nothing.
    pub(crate) dry_run: bool,
}

impl<'a> Writer<'a> {
    /// A controller of ours.
    pub(crate) fn named(manager: &'a str) -> Self {
        Self {
            manager,
            dry_run: false,
        }
    }

    fn manager(&self, resource: &Resource, part: Part) -> Manager {
        Manager {
            name: self.manager.to_owned(),
            api_version: resource.api_version(),
            subresource: match part {
                Part::Whole => "",
                Part::Status => "status",
            },
        }
    }
}

/// Metadata that only the API server sets.
const SYSTEM_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "resourceVersion",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// The objects of the cluster, written by the rules.
pub(crate) struct Registry {
    pub(crate) store: Store,
}

impl Registry {
    /// An empty cluster with the namespaces that every cluster has.
    pub(crate) fn new() -> Self {
        let registry = Self {
            store: Store::new(),
        };
        for name in ["default", "kube-node-lease", "kube-system"] {
            let namespace = json!({"metadata": {"name": name}});
            let writer = Writer::named("kube-apiserver");
            if let Err(refused) = registry.create(&NAMESPACES, "", namespace, writer) {
                tracing::error!(%refused, name, "namespace not made");
            }
        }
        registry
    }

    pub(crate) fn get(&self, key: &Key) -> Result<Arc<Value>, Status> {
        self.store
            .get(key)
            .ok_or_else(|| Status::not_found(key.resource, &key.name))
    }

    /// Makes a new object.
    pub(crate) fn create(
        &self,
        resource: &'static Resource,
        namespace: &str,
        mut body: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Value>, Status> {
        let metadata = object_at(&mut body, &["metadata"]);
        metadata.remove("resourceVersion");
        if text(&body, "/metadata/name").is_empty() {
            let prefix = text(&body, "/metadata/generateName");
            if prefix.is_empty() {
                let why = "name or generateName is required";
                return Err(Status::bad_request(why));
            }
            let name = format!("{prefix}{}", crate::names::suffix());
            object_at(&mut body, &["metadata"]).insert("name".to_owned(), json!(name));
        }
        let key = Key::new(resource, namespace, text(&body, "/metadata/name"));
        self.check_namespace(&key)?;
        self.store.transact(&key, |current| {
            if current.is_some() {
                return Err(Status::already_exists(resource, &key.name));
            }
            settle(&key, Part::Whole, None, body, writer, Timestamp::now())
        })
    }

    /// Puts a whole object in the place of another.
    pub(crate) fn replace(
        &self,
        key: &Key,
        part: Part,
        body: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Value>, Status> {
        self.update(key, part, writer, |_, _| Ok(body))
    }

    /// Changes an object in place: how controllers write.
    pub(crate) fn modify(
        &self,
        key: &Key,
        part: Part,
        manager: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Status> {
        self.update(key, part, Writer::named(manager), |current, _| {
            let mut new = current.clone();
            change(&mut new);
            Ok(new)
        })
    }

    /// Computes the new state from the current one and writes it, in one step.
    fn update(
        &self,
        key: &Key,
        part: Part,
        writer: Writer<'_>,
        change: impl FnOnce(&Value, Timestamp) -> Result<Value, Status>,
    ) -> Result<Arc<Value>, Status> {
        self.store.transact(key, |current| {
            let current = current.ok_or_else(|| Status::not_found(key.resource, &key.name))?;
            let now = Timestamp::now();
            let new = change(current, now)?;
            check_preconditions(key, current, &new)?;
            settle(key, part, Some(current), new, writer, now)
        })
    }

    fn check_namespace(&self, key: &Key) -> Result<(), Status> {
        if key.resource.namespaced {
            self.get(&Key::new(&NAMESPACES, "", &key.namespace))?;
        }
        Ok(())
    }
}

/// What the caller says it read must be what there is.
fn check_preconditions(key: &Key, current: &Value, new: &Value) -> Result<(), Status> {
    let differs = |field: &str| {
        let said = text(new, field);
        !said.is_empty() && said != text(current, field)
    };
    if differs("/metadata/uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            text(new, "/metadata/uid"),
            text(current, "/metadata/uid")
        );
        return Err(Status::precondition(key.resource, &key.name, &why));
    }
    if differs("/metadata/resourceVersion") {
        return Err(Status::modified(key.resource, &key.name));
    }
    Ok(())
}

/// The last steps of each write. Ownership is recorded here unless the write was a server-side
/// apply, which did so itself.
fn settle(
    key: &Key,
    part: Part,
    current: Option<&Arc<Value>>,
    mut new: Value,
    writer: Writer<'_>,
    now: Timestamp,
) -> Result<Outcome, Status> {
    prepare(key, part, current.map(Arc::as_ref), &mut new, now)?;
    let manager = writer.manager(key.resource, part);
    record_update(
        key.resource,
        current.map(Arc::as_ref),
        &mut new,
        &manager,
        now,
    );
    Ok(outcome(current, new, writer))
}

/// Everything but ownership: identity, parts that this door doesn't open, defaults, rules,
/// generation.
fn prepare(
    key: &Key,
    part: Part,
    current: Option<&Value>,
    new: &mut Value,
    now: Timestamp,
) -> Result<(), Status> {
    let resource = key.resource;
    identify(key, current, new, now)?;
    match (part, current) {
        (Part::Status, Some(current)) => {
            set_or_remove(object(new), "spec", current.get("spec").cloned());
            let labels = current.pointer("/metadata/labels").cloned();
            set_or_remove(object_at(new, &["metadata"]), "labels", labels);
        }
        (_, Some(current)) if resource.status => {
            set_or_remove(object(new), "status", current.get("status").cloned());
        }
        (_, None) if resource.status => {
            let status = if *resource == PODS {
                json!({"phase": "Pending", "qosClass": "BestEffort"})
            } else {
                json!({})
            };
            object(new).insert("status".to_owned(), status);
        }
        _ => {}
    }
    defaults::fill(resource, new);
    if part == Part::Whole {
        validate::check(resource, current, new)?;
    }
    if resource.generation {
        let generation = match current {
            None => 1,
            Some(current) if current.get("spec") == new.get("spec") => {
                number(current, "/metadata/generation")
            }
            Some(current) => number(current, "/metadata/generation") + 1,
        };
        object_at(new, &["metadata"]).insert("generation".to_owned(), json!(generation));
    }
    Ok(())
}

/// Sets what the API server alone sets, and refuses a body that is about something else.
fn identify(
    key: &Key,
    current: Option<&Value>,
    new: &mut Value,
    now: Timestamp,
) -> Result<(), Status> {
    let api_version = key.resource.api_version();
    for (pointer, expected, what) in [
        ("/kind", key.resource.kind, "kind"),
        ("/apiVersion", api_version.as_str(), "API version"),
        ("/metadata/name", key.name.as_str(), "name"),
        ("/metadata/namespace", key.namespace.as_str(), "namespace"),
    ] {
        let said = text(new, pointer);
        if !said.is_empty() && said != expected {
            return Err(Status::bad_request(format!(
                "the {what} of the object ({said}) does not match the {what} on the URL ({expected})"
            )));
        }
    }
    let body = object(new);
    body.insert("kind".to_owned(), json!(key.resource.kind));
    body.insert("apiVersion".to_owned(), json!(api_version));
    let metadata = object_at(new, &["metadata"]);
    metadata.remove("selfLink");
    metadata.retain(|_, value| !value.is_null());
    if let Some(current) = current {
        for field in SYSTEM_METADATA {
            set_or_remove(metadata, field, current["metadata"].get(field).cloned());
        }
    } else {
        metadata.insert("name".to_owned(), json!(key.name));
        if key.resource.namespaced {
            metadata.insert("namespace".to_owned(), json!(key.namespace));
        }
        let uid = uuid::Uuid::new_v4().to_string();
        metadata.insert("uid".to_owned(), json!(uid));
        let created = clock::rfc3339(now);
        metadata.insert("creationTimestamp".to_owned(), json!(created));
        for field in [
            "generation",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            metadata.remove(field);
        }
    }
    Ok(())
}

/// A write that changes nothing isn't one: version and watches stay as they are.
fn outcome(current: Option<&Arc<Value>>, new: Value, writer: Writer<'_>) -> Outcome {
    match current {
        Some(current) if **current == new => Outcome::Keep(Arc::clone(current)),
        _ if writer.dry_run => Outcome::Keep(Arc::new(new)),
        _ => Outcome::Put(new),
    }
}

#[cfg(test)]
mod tests;

//! `metadata.managedFields`: reading, writing, and what an ordinary write does to it.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{diff, set::FieldSet};
use crate::{catalog::Resource, clock, json::object_at, json::text};

/// Fields that the API server sets itself; nobody owns them.
const UNMANAGED: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// How a manager writes. Order is the order of the entries in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who writes, and through which door.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) api_version: String,
    /// `status` for writes to the status subresource; empty otherwise.
    pub(crate) subresource: &'static str,
}

/// One entry of `managedFields`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: String,
    pub(super) fields: FieldSet,
}

impl Entry {
    pub(super) fn new(manager: &Manager, operation: Operation) -> Self {
        Self {
            manager: manager.name.clone(),
            operation,
            api_version: manager.api_version.clone(),
            subresource: manager.subresource.to_owned(),
            time: String::new(),
            fields: FieldSet::default(),
        }
    }

    /// Whether both speak of the same manager; an Apply and an Update of one name are two.
    pub(super) fn same_manager(&self, other: &Self) -> bool {
        (
            &self.manager,
            self.operation,
            &self.api_version,
            &self.subresource,
        ) == (
            &other.manager,
            other.operation,
            &other.api_version,
            &other.subresource,
        )
    }

    /// `"kubectl" with subresource "status" using apps/v1`, as conflict messages say it.
    pub(super) fn printed(&self) -> String {
        let mut words = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            words = format!("{words} with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            words = format!("{words} using {}", self.api_version);
        }
        words
    }

    fn to_value(&self) -> Value {
        let mut value = json!({
            "manager": self.manager,
            "operation": self.operation.name(),
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.to_value(),
        });
        if !self.subresource.is_empty() {
            value["subresource"] = json!(self.subresource);
        }
        value
    }

    fn from_value(value: &Value) -> Self {
        Self {
            manager: text(value, "/manager").to_owned(),
            operation: if text(value, "/operation") == "Apply" {
                Operation::Apply
            } else {
                Operation::Update
            },
            api_version: text(value, "/apiVersion").to_owned(),
            subresource: text(value, "/subresource").to_owned(),
            time: text(value, "/time").to_owned(),
            fields: FieldSet::from_value(&value["fieldsV1"]),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.operation, &self.time, &self.manager, &self.subresource).cmp(&(
            other.operation,
            &other.time,
            &other.manager,
            &other.subresource,
        ))
    }
}

/// The entries of an object.
pub(super) fn read(object: &Value) -> Vec<Entry> {
    object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(Entry::from_value)
        .collect()
}

/// Writes the entries that own anything.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(Entry::order);
    let entries: Vec<Value> = entries.iter().map(Entry::to_value).collect();
    object_at(object, &["metadata"]).insert("managedFields".to_owned(), json!(entries));
}

/// The object without what nobody owns.
pub(super) fn owned_part(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            for field in UNMANAGED {
                metadata.remove(field);
            }
        }
    }
    object
}

/// What a new object is compared with: the parts that a type's structure always has.
fn empty(resource: &Resource) -> Value {
    let mut empty = json!({"metadata": {}, "spec": {}, "status": {}});
    let pod = json!({"metadata": {}, "spec": {"containers": []}});
    match resource.plural {
        "deployments" => empty["spec"] = json!({"strategy": {}, "template": pod}),
        "replicasets" => empty["spec"] = json!({"template": pod}),
        "pods" => empty["spec"] = pod["spec"].clone(),
        "services" => empty["status"] = json!({"loadBalancer": {}}),
        _ => {}
    }
    empty
}

/// Writes into `new` who owns what after an ordinary write (anything but a server-side apply):
/// the writer owns what it changed, and everybody else loses it. What the write itself says of owners
/// counts; nothing said leaves them as they were, and one empty entry takes all away.
pub(crate) fn record_update(
    resource: &Resource,
    old: Option<&Value>,
    new: &mut Value,
    manager: &Manager,
    now: Timestamp,
) {
    let before = old.map_or_else(|| empty(resource), owned_part);
    let changes = diff::changes(&before, &owned_part(new));
    let mut entries = match (read(new), old) {
        (none, Some(old)) if none.is_empty() => read(old),
        (told, _) => told,
    };
    if !changes.is_empty() {
        let written = changes.written();
        let mut ours = Entry::new(manager, Operation::Update);
        entries.retain_mut(|entry| {
            entry.fields = entry.fields.difference(&changes.removed);
            if entry.same_manager(&ours) {
                ours.fields = entry.fields.clone();
                return false;
            }
            entry.fields = entry.fields.difference(&written);
            true
        });
        ours.fields = ours.fields.union(&written);
        ours.time = clock::rfc3339(now);
        entries.push(ours);
    }
    write(new, entries);
}

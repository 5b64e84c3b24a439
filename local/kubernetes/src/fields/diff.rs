//! Which fields an object has, and which fields differ between two of its states.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    schema::{ListKind, has_atomic_elements, is_atomic_map, key_of, list_kind, value_of},
    set::FieldSet,
};

/// Differences between two states, by path.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Changes {
    /// Paths that have a value of the newer state's.
    pub(super) fn written(&self) -> FieldSet {
        self.added.union(&self.modified)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn attach(&mut self, element: &str, child: Self) {
        self.added.attach(element.to_owned(), child.added);
        self.modified.attach(element.to_owned(), child.modified);
        self.removed.attach(element.to_owned(), child.removed);
    }
}

/// The parts of a value that have owners of their own.
enum Parts<'a> {
    /// The value has one owner as a whole.
    Whole,
    /// Parts by path element, with the field name that their own parts are looked up by.
    Split(BTreeMap<String, (&'a str, &'a Value)>),
}

/// `seen` decides the kind of a list; the two states of a list are given together, since an empty
/// list alone doesn't show what its elements look like.
fn parts<'a>(field: &str, value: &'a Value, seen: &[Value]) -> Parts<'a> {
    match value {
        Value::Object(map) if !is_atomic_map(field) => Parts::Split(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (format!("f:{name}"), (name.as_str(), value)))
                .collect(),
        ),
        Value::Array(list) => match list_kind(field, seen) {
            ListKind::Atomic => Parts::Whole,
            ListKind::Set => Parts::Split(
                list.iter()
                    .map(|value| (value_of(value), ("", value)))
                    .collect(),
            ),
            ListKind::Keyed(keys) => Parts::Split(
                list.iter()
                    .map(|value| (key_of(keys, value), ("", value)))
                    .collect(),
            ),
        },
        _ => Parts::Whole,
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The field set that a server-side apply of `config` owns: its leaves, and its list elements.
pub(super) fn applied(config: &Value) -> FieldSet {
    applied_part("", config)
}

fn applied_part(field: &str, value: &Value) -> FieldSet {
    let Parts::Split(parts) = parts(field, value, array(value)) else {
        return FieldSet::member();
    };
    let mut set = FieldSet {
        member: parts.is_empty(),
        ..FieldSet::default()
    };
    for (element, (name, part)) in parts {
        let is_element = !element.starts_with("f:");
        let mut child = if is_element && has_atomic_elements(field) {
            FieldSet::member()
        } else {
            applied_part(name, part)
        };
        child.member |= is_element;
        set.attach(element, child);
    }
    set
}

/// What has to change to make `new` out of `old`.
pub(super) fn changes(old: &Value, new: &Value) -> Changes {
    changes_of("", old, new)
}

fn changes_of(field: &str, old: &Value, new: &Value) -> Changes {
    let mut changes = Changes::default();
    if old == new {
        return changes;
    }
    let seen = if array(new).is_empty() {
        array(old)
    } else {
        array(new)
    };
    match (parts(field, old, seen), parts(field, new, seen)) {
        (Parts::Split(mut old_parts), Parts::Split(new_parts))
            if old.is_object() == new.is_object() =>
        {
            let atomic = has_atomic_elements(field);
            for (element, (name, part)) in new_parts {
                let child = match old_parts.remove(&element) {
                    Some((_, old_part)) if atomic && old_part != part => Changes {
                        modified: FieldSet::member(),
                        ..Changes::default()
                    },
                    Some((_, old_part)) => changes_of(name, old_part, part),
                    None => Changes {
                        added: whole(name, part, atomic),
                        ..Changes::default()
                    },
                };
                changes.attach(&element, child);
            }
            for (element, (name, part)) in old_parts {
                let removed = whole(name, part, atomic);
                changes.removed.attach(element, removed);
            }
        }
        _ => changes.modified.member = true,
    }
    changes
}

/// Every path at and below a value that came or went.
fn whole(field: &str, value: &Value, atomic: bool) -> FieldSet {
    let mut set = FieldSet::member();
    if atomic {
        return set;
    }
    if let Parts::Split(parts) = parts(field, value, array(value)) {
        for (element, (name, part)) in parts {
            set.attach(element, whole(name, part, has_atomic_elements(field)));
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn list_elements_are_compared_by_their_key() {
        let old = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let new = json!({"containers": [{"name": "b", "image": "2"}, {"name": "c"}]});
        let changes = changes(&old, &new);
        assert_eq!(changes.modified.paths(), [r#".containers[name="b"].image"#]);
        assert_eq!(
            changes.added.paths(),
            [r#".containers[name="c"].name"#, r#".containers[name="c"]"#]
        );
        assert!(
            changes
                .removed
                .paths()
                .contains(&r#".containers[name="a"].image"#.to_owned())
        );
    }

    #[test]
    fn selectors_are_one_value() {
        let old = json!({"selector": {"matchLabels": {"app": "a"}}});
        let new = json!({"selector": {"matchLabels": {"app": "b"}}});
        assert_eq!(changes(&old, &new).modified.paths(), [".selector"]);
    }

    #[test]
    fn an_apply_owns_leaves_and_list_elements_only() {
        let config = json!({"spec": {"template": {"spec": {"containers": [{"name": "api", "image": "x"}]}}}});
        assert_eq!(
            applied(&config).to_value(),
            json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"api\"}": {".": {}, "f:name": {}, "f:image": {}}
            }}}}})
        );
    }
}

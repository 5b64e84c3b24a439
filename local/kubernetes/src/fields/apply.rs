//! Server-side apply: merge, prune, conflicts.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    diff,
    managed::{self, Entry, Manager, Operation},
    schema::{ListKind, has_atomic_elements, is_atomic_map, key_of, list_kind, value_of},
    set::FieldSet,
};
use crate::clock;

/// Conflicts of an apply: the other manager, in words, and the field.
pub(crate) type Conflicts = Vec<(String, String)>;

/// Result of an apply before defaults: the object, with its `managedFields` written.
pub(crate) type Applied = Result<Value, Conflicts>;

/// Applies what `manager` wants (`config`, the whole of it) to `live`.
///
/// - Fields of `config` are set; a field that another manager owns with another value is a conflict,
///   unless `force` takes it over.
/// - Fields that this manager applied before and no longer lists go, unless somebody else owns them.
pub(crate) fn apply(
    live: &Value,
    config: &Value,
    manager: &Manager,
    force: bool,
    now: Timestamp,
) -> Applied {
    let mut entries = managed::read(live);
    let mut ours = Entry::new(manager, Operation::Apply);
    let last = entries
        .iter()
        .position(|entry| entry.same_manager(&ours))
        .map(|at| entries.remove(at));
    ours.fields = diff::applied(&managed::owned_part(config));

    let mut merged = live.clone();
    merge("", &mut merged, config);
    if let Some(last) = &last {
        let owned = entries
            .iter()
            .fold(ours.fields.clone(), |set, entry| set.union(&entry.fields));
        prune("", &mut merged, &last.fields, &owned);
    }

    let changes = diff::changes(&managed::owned_part(live), &managed::owned_part(&merged));
    let written = changes.written();
    let mut conflicts = Vec::new();
    for entry in &mut entries {
        let lost = entry.fields.intersection(&written);
        let paths = lost.paths().into_iter();
        conflicts.extend(paths.map(|path| (entry.printed(), path)));
        entry.fields = entry.fields.difference(&lost).difference(&changes.removed);
    }
    if !conflicts.is_empty() && !force {
        conflicts.sort();
        return Err(conflicts);
    }
    // An apply that changes nothing keeps its time, so that it writes nothing either.
    ours.time = match last {
        Some(last) if changes.is_empty() && last.fields == ours.fields => last.time,
        _ => clock::rfc3339(now),
    };
    entries.push(ours);
    managed::write(&mut merged, entries);
    Ok(merged)
}

/// Sets in `live` what `config` lists.
fn merge(field: &str, live: &mut Value, config: &Value) {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !is_atomic_map(field) => {
            for (name, value) in config {
                if !value.is_null() {
                    merge(name, live.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(live), Value::Array(config)) => match list_kind(field, config) {
            ListKind::Atomic => live.clone_from(config),
            ListKind::Set => {
                for value in config {
                    if !live.contains(value) {
                        live.push(value.clone());
                    }
                }
            }
            ListKind::Keyed(keys) => {
                for value in config {
                    let key = key_of(keys, value);
                    match live.iter_mut().find(|element| key_of(keys, element) == key) {
                        Some(element) if has_atomic_elements(field) => element.clone_from(value),
                        Some(element) => merge("", element, value),
                        None => live.push(without_nulls(value)),
                    }
                }
            }
        },
        (live, config) => *live = without_nulls(config),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Removes from `value` what is in `last` and under which nothing is `owned` any more.
fn prune(field: &str, value: &mut Value, last: &FieldSet, owned: &FieldSet) {
    for (element, last) in &last.children {
        let name = element.strip_prefix("f:");
        match (owned.children.get(element), name) {
            (None, Some(name)) => {
                if let Some(map) = value.as_object_mut() {
                    map.remove(name);
                }
            }
            (None, None) => {
                if let Some(list) = value.as_array_mut() {
                    let kind = list_kind(field, list);
                    list.retain(|item| !is_element(kind, item, element));
                }
            }
            (Some(owned), Some(name)) => {
                if let Some(part) = value.get_mut(name) {
                    prune(name, part, last, owned);
                }
            }
            (Some(owned), None) => {
                if let Some(list) = value.as_array_mut() {
                    let kind = list_kind(field, list);
                    for item in list
                        .iter_mut()
                        .filter(|item| is_element(kind, item, element))
                    {
                        prune("", item, last, owned);
                    }
                }
            }
        }
    }
}

fn is_element(kind: ListKind, item: &Value, element: &str) -> bool {
    match kind {
        ListKind::Keyed(keys) => key_of(keys, item) == element,
        ListKind::Set => value_of(item) == element,
        ListKind::Atomic => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manager(name: &str) -> Manager {
        Manager {
            name: name.to_owned(),
            api_version: "apps/v1".to_owned(),
            subresource: "",
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T21:32:20Z".parse().unwrap()
    }

    fn container(image: &str, env: Value) -> Value {
        json!({"spec": {"containers": [{"name": "api", "image": image, "env": env}]}})
    }

    fn applied(live: &Value, config: &Value, by: &str) -> Applied {
        apply(live, config, &manager(by), false, now())
    }

    #[test]
    fn what_a_manager_no_longer_lists_goes() {
        let both = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]);
        let live = applied(&json!({}), &container("x:1", both), "us").unwrap();
        let one = json!([{"name": "B", "value": "2"}]);
        let live = applied(&live, &container("x:1", one.clone()), "us").unwrap();
        assert_eq!(live["spec"]["containers"][0]["env"], one);
        let none = json!({"spec": {"containers": [{"name": "api", "image": "x:1"}]}});
        let live = applied(&live, &none, "us").unwrap();
        assert_eq!(
            live["spec"], none["spec"],
            "an empty list doesn't stay behind"
        );
    }

    #[test]
    fn what_others_own_too_stays() {
        let mut config = container("x:1", json!([{"name": "A", "value": "1"}]));
        let live = applied(&json!({}), &config, "us").unwrap();
        let live = applied(&live, &config, "them").unwrap();
        config["spec"]["containers"][0]["env"] = json!([]);
        let live = applied(&live, &config, "us").unwrap();
        assert_eq!(live["spec"]["containers"][0]["env"][0]["name"], "A");
    }

    #[test]
    fn another_value_of_another_manager_is_a_conflict_until_forced() {
        let live = applied(&json!({}), &container("x:1", json!([])), "us").unwrap();
        let config = container("x:2", json!([]));
        let conflicts = applied(&live, &config, "them").unwrap_err();
        assert_eq!(
            conflicts,
            [(
                r#""us""#.to_owned(),
                r#".spec.containers[name="api"].image"#.to_owned()
            )]
        );
        let live = apply(&live, &config, &manager("them"), true, now()).unwrap();
        assert_eq!(live["spec"]["containers"][0]["image"], "x:2");
        let back = container("x:1", json!([]));
        let conflicts = applied(&live, &back, "us").unwrap_err();
        assert_eq!(conflicts[0].0, r#""them""#, "ownership moved");
    }

    #[test]
    fn the_same_apply_again_changes_nothing() {
        let config = container("x:1", json!([{"name": "A", "value": "1"}]));
        let once = applied(&json!({}), &config, "us").unwrap();
        let later = "2027-01-01T00:00:00Z".parse().unwrap();
        let twice = apply(&once, &config, &manager("us"), false, later).unwrap();
        assert_eq!(once, twice);
    }
}

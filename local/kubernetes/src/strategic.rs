//! Strategic merge patches: merge patches that know which lists merge by key.

use serde_json::{Map, Value};

use crate::{
    error::Status,
    fields::{ListKind, list_kind},
};

const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Applies `patch` to `object`.
pub(crate) fn merge(object: &mut Value, patch: &Value) -> Result<(), Status> {
    let Value::Object(patch) = patch else {
        return Err(Status::bad_request("a strategic merge patch is an object"));
    };
    merge_map(crate::json::object(object), patch)
}

fn merge_map(object: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Status> {
    match patch.get("$patch").and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            *object = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        Some(other) => {
            return Err(Status::bad_request(format!(
                "unknown patch directive {other:?}"
            )));
        }
    }
    for (field, value) in patch {
        match (field.as_str(), value) {
            ("$patch" | "$retainKeys", _) => {}
            (directive, _) if directive.starts_with(ORDER) => {}
            (directive, Value::Array(gone)) if directive.starts_with(DELETE) => {
                let field = &directive[DELETE.len()..];
                if let Some(Value::Array(list)) = object.get_mut(field) {
                    list.retain(|value| !gone.contains(value));
                }
            }
            (directive, _) if directive.starts_with('$') => {
                return Err(Status::bad_request(format!(
                    "unknown patch directive {directive:?}"
                )));
            }
            (field, Value::Null) => {
                object.remove(field);
            }
            (field, Value::Object(inner)) => {
                let mut place = object.remove(field).unwrap_or_default();
                merge_map(crate::json::object(&mut place), inner)?;
                let emptied = inner.get("$patch").and_then(Value::as_str) == Some("delete");
                if !emptied {
                    object.insert(field.to_owned(), place);
                }
            }
            (field, Value::Array(elements)) => {
                let mut list = match object.remove(field) {
                    Some(Value::Array(list)) => list,
                    _ => Vec::new(),
                };
                merge_list(field, &mut list, elements)?;
                if let Some(Value::Array(order)) = patch.get(&format!("{ORDER}{field}")) {
                    reorder(field, &mut list, order);
                }
                object.insert(field.to_owned(), Value::Array(list));
            }
            (field, scalar) => {
                object.insert(field.to_owned(), scalar.clone());
            }
        }
    }
    if let Some(Value::Array(keep)) = patch.get("$retainKeys") {
        object.retain(|field, _| keep.iter().any(|kept| kept == field));
    }
    Ok(())
}

/// The field that tells elements of a merging list apart; `None` for lists that are replaced.
fn merge_key(field: &str, list: &[Value]) -> Option<&'static str> {
    match list_kind(field, list) {
        ListKind::Keyed(keys) => keys.first().map(|(key, _)| *key),
        ListKind::Atomic | ListKind::Set => None,
    }
}

fn merge_list(field: &str, list: &mut Vec<Value>, patch: &[Value]) -> Result<(), Status> {
    if list_kind(field, patch) == ListKind::Set {
        for value in patch {
            if !list.contains(value) {
                list.push(value.clone());
            }
        }
        return Ok(());
    }
    let Some(key) = merge_key(field, if list.is_empty() { patch } else { list }) else {
        *list = patch.to_vec();
        return Ok(());
    };
    let directive = |element: &Value| {
        let directive = element.get("$patch").and_then(Value::as_str);
        directive.unwrap_or_default().to_owned()
    };
    if patch.iter().any(|element| directive(element) == "replace") {
        list.clear();
    }
    for element in patch {
        if directive(element) == "replace" && element.get(key).is_none() {
            continue;
        }
        let Some(wanted) = element.get(key) else {
            return Err(Status::bad_request(format!(
                "map: {element} does not contain declared merge key: {key}"
            )));
        };
        let at = list.iter().position(|known| known.get(key) == Some(wanted));
        match (at, element, directive(element).as_str()) {
            (Some(at), _, "delete") => {
                list.remove(at);
            }
            (None, _, "delete") => {}
            (Some(at), Value::Object(inner), _) => {
                merge_map(crate::json::object(&mut list[at]), inner)?;
            }
            (None, Value::Object(inner), _) => list.push(Value::Object(without_directives(inner))),
            _ => {}
        }
    }
    Ok(())
}

/// Puts the elements named by `order` into that order; others keep their place after them.
fn reorder(field: &str, list: &mut [Value], order: &[Value]) {
    let key = merge_key(field, list);
    list.sort_by_key(|element| {
        let place = order.iter().position(|wanted| match key {
            Some(key) => wanted.get(key) == element.get(key),
            None => wanted == element,
        });
        place.unwrap_or(usize::MAX)
    });
}

/// A part that is new to the object: without directives and without nulls.
fn without_directives(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .filter(|(field, value)| !field.starts_with('$') && !value.is_null())
        .map(|(field, value)| {
            let value = match value {
                Value::Object(inner) => Value::Object(without_directives(inner)),
                other => other.clone(),
            };
            (field.clone(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn merged(mut object: Value, patch: &Value) -> Value {
        merge(&mut object, patch).unwrap();
        object
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"containers": list}})
    }

    #[test]
    fn containers_and_their_env_merge_by_name() {
        let object = containers(json!([
            {"name": "api", "image": "x:1", "env": [{"name": "A", "value": "1"}]},
            {"name": "proxy", "image": "p"}
        ]));
        let patch = containers(json!([
            {"name": "api", "image": "x:2", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]}
        ]));
        assert_eq!(
            merged(object, &patch),
            containers(json!([
                {"name": "api", "image": "x:2",
                 "env": [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]},
                {"name": "proxy", "image": "p"}
            ]))
        );
    }

    #[test]
    fn a_wrong_container_name_adds_a_second_container() {
        let object = containers(json!([{"name": "api", "image": "x:1"}]));
        let patch = containers(json!([{"name": "apj", "image": "x:2"}]));
        let containers = merged(object, &patch);
        assert_eq!(
            containers["spec"]["containers"].as_array().unwrap().len(),
            2
        );
    }

    #[test]
    fn directives_delete_replace_retain_and_order() {
        let object = json!({
            "containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
            "args": ["x"], "finalizers": ["one", "two"], "labels": {"old": "1"}
        });
        let patch = json!({
            "containers": [{"name": "b", "$patch": "delete"}],
            "$setElementOrder/containers": [{"name": "c"}, {"name": "a"}],
            "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
            "args": ["y"],
            "$deleteFromPrimitiveList/finalizers": ["one"],
            "labels": {"$patch": "replace", "new": "1"}
        });
        assert_eq!(
            merged(object, &patch),
            json!({
                "containers": [{"name": "c"}, {"name": "a"}],
                "strategy": {"type": "Recreate"},
                "args": ["y"], "finalizers": ["two"], "labels": {"new": "1"}
            })
        );
    }

    #[test]
    fn an_element_without_its_key_is_refused() {
        let mut object = containers(json!([{"name": "api"}]));
        let refused = merge(&mut object, &containers(json!([{"image": "x"}])));
        assert_eq!(refused.unwrap_err().code, 400);
    }
}

//! Sets of field paths, in the form of `fieldsV1`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A set of paths as a tree. Elements are written as in `fieldsV1`: `f:image`, `k:{"name":"api"}`,
/// `v:"x"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// The path that ends here is in the set.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    pub(crate) fn member() -> Self {
        Self {
            member: true,
            children: BTreeMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    /// Adds a subtree, unless there is nothing in it.
    pub(crate) fn attach(&mut self, element: String, child: Self) {
        if !child.is_empty() {
            self.children.insert(element, child);
        }
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.member |= other.member;
        for (element, theirs) in &other.children {
            let merged = match union.children.get(element) {
                Some(ours) => ours.union(theirs),
                None => theirs.clone(),
            };
            union.children.insert(element.clone(), merged);
        }
        union
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = Self {
            member: self.member && !other.member,
            ..Self::default()
        };
        for (element, ours) in &self.children {
            let child = match other.children.get(element) {
                Some(theirs) => ours.difference(theirs),
                None => ours.clone(),
            };
            rest.attach(element.clone(), child);
        }
        rest
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut common = Self {
            member: self.member && other.member,
            ..Self::default()
        };
        for (element, ours) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                common.attach(element.clone(), ours.intersection(theirs));
            }
        }
        common
    }

    /// The paths of the set as messages print them: `.spec.containers[name="api"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(String::new(), &mut paths);
        paths
    }

    fn collect(&self, path: String, paths: &mut Vec<String>) {
        for (element, child) in &self.children {
            child.collect(format!("{path}{}", printed(element)), paths);
        }
        if self.member {
            paths.push(path);
        }
    }

    /// The `fieldsV1` object.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (element, child) in &self.children {
            map.insert(element.clone(), child.to_value());
        }
        Value::Object(map)
    }

    /// Reads a `fieldsV1` object; the root itself is never a member.
    pub(crate) fn from_value(value: &Value) -> Self {
        let mut set = Self::read(value);
        set.member = false;
        set
    }

    fn read(value: &Value) -> Self {
        let mut set = Self::default();
        for (element, child) in value.as_object().into_iter().flatten() {
            if element == "." {
                set.member = true;
            } else {
                set.children.insert(element.clone(), Self::read(child));
            }
        }
        set.member |= set.children.is_empty();
        set
    }
}

/// One path element as messages print it.
fn printed(element: &str) -> String {
    match element.split_once(':') {
        Some(("f", field)) => format!(".{field}"),
        Some(("k", key)) => {
            let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let mut pairs: Vec<String> = key
                .iter()
                .map(|(field, value)| format!("{field}={value}"))
                .collect();
            pairs.sort();
            format!("[{}]", pairs.join(","))
        }
        Some(("v", value)) => format!("[={value}]"),
        _ => format!("[{element}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn recorded_field_sets_survive_a_round_trip() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"api\"}": {".": {}, "f:image": {}}
            }}}}
        });
        assert_eq!(FieldSet::from_value(&fields).to_value(), fields);
    }

    #[test]
    fn set_algebra_keeps_no_empty_branches() {
        let one = FieldSet::from_value(&json!({"f:spec": {"f:a": {}, "f:b": {}}}));
        let other = FieldSet::from_value(&json!({"f:spec": {"f:b": {}}, "f:data": {}}));
        assert_eq!(one.difference(&one), FieldSet::default());
        assert_eq!(one.intersection(&other).paths(), [".spec.b"]);
        assert_eq!(one.difference(&other).paths(), [".spec.a"]);
        assert_eq!(one.union(&other).paths(), [".data", ".spec.a", ".spec.b"]);
    }

    #[test]
    fn paths_print_as_in_messages() {
        let fields = json!({"f:spec": {
            "f:containers": {"k:{\"name\":\"api\"}": {"f:ports": {
                "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {}
            }}},
            "f:finalizers": {"v:\"x\"": {}}
        }});
        assert_eq!(
            FieldSet::from_value(&fields).paths(),
            [
                r#".spec.containers[name="api"].ports[containerPort=8080,protocol="TCP"]"#,
                r#".spec.finalizers[="x"]"#
            ]
        );
    }
}

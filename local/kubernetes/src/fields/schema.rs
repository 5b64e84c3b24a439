//! How lists and maps merge, for the field names of the served types.
//!
//! A real API server reads this from its OpenAPI schema (`x-kubernetes-list-type` and the like). A
//! field name means one thing in all types served here, so a table of names is enough.

use serde_json::{Map, Value};

/// How the elements of a list are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// The list is one value.
    Atomic,
    /// Elements are objects, known by these fields (with the default that an absent one has).
    Keyed(&'static [(&'static str, Option<&'static str>)]),
    /// Elements are scalars, each at most once.
    Set,
}

/// The kind of the list `field`, seen in one or the other of its states.
pub(crate) fn list_kind(field: &str, list: &[Value]) -> ListKind {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets" => ListKind::Keyed(&[("name", None)]),
        "volumeMounts" => ListKind::Keyed(&[("mountPath", None)]),
        "ports" if list.iter().any(|port| port.get("containerPort").is_some()) => {
            ListKind::Keyed(&[("containerPort", None), ("protocol", Some("TCP"))])
        }
        "ports" if list.iter().any(|port| port.get("port").is_some()) => {
            ListKind::Keyed(&[("port", None), ("protocol", Some("TCP"))])
        }
        "conditions" => ListKind::Keyed(&[("type", None)]),
        "ownerReferences" => ListKind::Keyed(&[("uid", None)]),
        "hostAliases" | "podIPs" => ListKind::Keyed(&[("ip", None)]),
        "topologySpreadConstraints" => {
            ListKind::Keyed(&[("topologyKey", None), ("whenUnsatisfiable", None)])
        }
        "finalizers" => ListKind::Set,
        _ => ListKind::Atomic,
    }
}

/// Whether the map `field` is one value: its entries have no owners of their own.
pub(crate) fn is_atomic_map(field: &str) -> bool {
    matches!(
        field,
        "selector"
            | "podSelector"
            | "namespaceSelector"
            | "labelSelector"
            | "nodeSelector"
            | "roleRef"
            | "fieldRef"
            | "configMapKeyRef"
            | "secretKeyRef"
            | "resourceFieldRef"
    )
}

/// Whether the elements of the keyed list `field` are each one value.
pub(crate) fn has_atomic_elements(field: &str) -> bool {
    field == "ownerReferences"
}

/// The path element of a list element: `k:{"name":"api"}`.
pub(crate) fn key_of(keys: &[(&str, Option<&str>)], element: &Value) -> String {
    let key: Map<String, Value> = keys
        .iter()
        .filter_map(|(field, default)| {
            let value = element.get(*field).cloned();
            let value = value.or_else(|| default.map(Value::from))?;
            Some(((*field).to_owned(), value))
        })
        .collect();
    format!("k:{}", Value::Object(key))
}

/// The path element of a set's element: `v:"kubernetes"`.
pub(crate) fn value_of(element: &Value) -> String {
    format!("v:{element}")
}

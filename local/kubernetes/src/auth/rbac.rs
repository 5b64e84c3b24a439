//! Who may do what: RBAC from the roles and bindings in the store.

use serde_json::Value;

use super::Identity;
use crate::{
    catalog::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES},
    json::{items, text},
    store::{Key, Store},
};

/// What a request wants to do.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// `deployments`, or with its subresource `deployments/status`.
    pub(crate) resource: &'a str,
    /// Empty for collections and creations.
    pub(crate) name: &'a str,
    /// `None` for cluster-scoped requests.
    pub(crate) namespace: Option<&'a str>,
}

impl Attributes<'_> {
    /// The sentence of a refusal, after `is forbidden: `.
    pub(crate) fn refusal(&self, identity: &Identity) -> String {
        let place = match self.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        format!(
            "User {:?} cannot {} resource {:?} in API group {:?} {place}",
            identity.user, self.verb, self.resource, self.group
        )
    }
}

/// Whether any binding gives `identity` what the request needs.
pub(crate) fn allows(store: &Store, identity: &Identity, wanted: &Attributes<'_>) -> bool {
    if identity.groups.iter().any(|group| group == super::MASTERS) {
        return true;
    }
    let mut bindings = store.list(&CLUSTER_ROLE_BINDINGS, None).0;
    if let Some(namespace) = wanted.namespace {
        bindings.extend(store.list(&ROLE_BINDINGS, Some(namespace)).0);
    }
    bindings.iter().any(|binding| {
        items(binding, "/subjects")
            .iter()
            .any(|subject| is_subject(subject, identity))
            && role_of(store, binding).is_some_and(|role| {
                items(&role, "/rules")
                    .iter()
                    .any(|rule| permits(rule, wanted))
            })
    })
}

fn is_subject(subject: &Value, identity: &Identity) -> bool {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "User" => name == identity.user,
        "Group" => identity.groups.iter().any(|group| group == name),
        _ => false,
    }
}

fn role_of(store: &Store, binding: &Value) -> Option<std::sync::Arc<Value>> {
    let name = text(binding, "/roleRef/name");
    let namespace = text(binding, "/metadata/namespace");
    let resource = match text(binding, "/roleRef/kind") {
        "Role" if !namespace.is_empty() => &ROLES,
        "ClusterRole" => &CLUSTER_ROLES,
        _ => return None,
    };
    store.get(&Key::new(resource, namespace, name))
}

fn permits(rule: &Value, wanted: &Attributes<'_>) -> bool {
    let lists = |field: &str, accepted: &[&str]| {
        items(rule, field)
            .iter()
            .filter_map(Value::as_str)
            .any(|value| value == "*" || accepted.contains(&value))
    };
    let any_parent = match wanted.resource.split_once('/') {
        Some((_, subresource)) => format!("*/{subresource}"),
        None => String::from("*"),
    };
    let names = items(rule, "/resourceNames");
    lists("/verbs", &[wanted.verb])
        && lists("/apiGroups", &[wanted.group])
        && lists("/resources", &[wanted.resource, &any_parent])
        && (names.is_empty() || names.iter().any(|name| name == wanted.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Registry, Writer};
    use serde_json::json;

    fn cluster() -> Registry {
        let registry = Registry::new();
        let writer = Writer::named("test");
        let role = json!({"metadata": {"name": "deployer"}, "rules": [
            {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["api"],
             "verbs": ["get", "patch"]},
            {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["*"]}
        ]});
        registry.create(&ROLES, "default", role, writer).unwrap();
        let binding = json!({
            "metadata": {"name": "deployer"},
            "subjects": [{"kind": "Group", "name": "deployers"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"}
        });
        registry
            .create(&ROLE_BINDINGS, "default", binding, writer)
            .unwrap();
        registry
    }

    fn may(verb: &str, group: &str, resource: &str, name: &str, namespace: &str) -> bool {
        let identity = Identity {
            user: "someone".to_owned(),
            groups: vec!["deployers".to_owned()],
        };
        let wanted = Attributes {
            verb,
            group,
            resource,
            name,
            namespace: Some(namespace),
        };
        allows(&cluster().store, &identity, &wanted)
    }

    #[test]
    fn a_role_reaches_as_far_as_its_rules() {
        assert!(may("patch", "apps", "deployments", "api", "default"));
        assert!(may("get", "", "pods/log", "x", "default"));
        assert!(!may("patch", "apps", "deployments", "other", "default"));
        assert!(!may("list", "apps", "deployments", "", "default"));
        assert!(!may("delete", "apps", "deployments", "api", "default"));
        assert!(!may("get", "apps", "deployments", "api", "kube-system"));
        assert!(!may("get", "", "pods", "x", "default"));
        assert!(!may("get", "apps", "deployments/status", "api", "default"));
    }

    #[test]
    fn a_refusal_is_worded_as_recorded() {
        let recorded: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/403-other-name.json")).unwrap();
        let identity = Identity {
            user: "retail-forecast-deployer".to_owned(),
            groups: vec![],
        };
        let wanted = Attributes {
            verb: "get",
            group: "apps",
            resource: "deployments",
            name: "nosuch",
            namespace: Some("retail-forecast-prod"),
        };
        let deployments = crate::catalog::find("apps", "deployments").unwrap();
        let refused =
            crate::error::Status::forbidden(deployments, "nosuch", &wanted.refusal(&identity));
        assert_eq!(refused.body(), recorded);
    }
}

//! Which resource a path is about.

use axum::http::Method;

use super::Call;
use crate::{
    catalog::{self, NAMESPACES, Resource},
    error::Status,
    selector::Selector,
    store::Key,
};

/// The object, collection or subresource that a path names.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) resource: &'static Resource,
    /// `None` for cluster-scoped resources and for all namespaces.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl Target {
    /// Reads `/api/v1/…` and `/apis/{group}/{version}/…`; `None` for what isn't served.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, plural, rest) = match rest {
            // A third part names a resource inside the namespace; these two are parts of it.
            ["namespaces", namespace, plural, rest @ ..]
                if !matches!(*plural, "status" | "finalize") =>
            {
                (Some(*namespace), *plural, rest)
            }
            [plural, rest @ ..] => (None, *plural, rest),
            [] => return None,
        };
        let resource = catalog::find(group, plural)?;
        let scoped_right = namespace.is_none() || resource.namespaced;
        let (name, subresource) = match rest {
            [] => (None, None),
            [name] => (Some(*name), None),
            [name, subresource] => (Some(*name), Some(*subresource)),
            _ => return None,
        };
        if resource.version != version || !scoped_right {
            return None;
        }
        // A namespaced object can't be named without its namespace.
        if resource.namespaced && namespace.is_none() && name.is_some() {
            return None;
        }
        let served = subresource.is_none_or(|name| resource.subresources().contains(&name));
        // A namespace is its own namespace, as far as permissions go.
        let namespace = if *resource == NAMESPACES {
            name
        } else {
            namespace
        };
        served.then(|| Self {
            resource,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }

    /// The verb that permissions speak of.
    pub(super) fn verb(&self, call: &Call) -> Result<&'static str, Status> {
        let named = self.name.is_some();
        match call.method {
            Method::GET if call.is_set("watch") => Ok("watch"),
            Method::GET if named => Ok("get"),
            Method::GET => Ok("list"),
            Method::POST if !named || self.subresource.as_deref() == Some("binding") => {
                Ok("create")
            }
            Method::PUT if named => Ok("update"),
            Method::PATCH if named => Ok("patch"),
            Method::DELETE if named && self.subresource.is_none() => Ok("delete"),
            Method::DELETE if !named => Ok("deletecollection"),
            _ => Err(Status::method_not_allowed()),
        }
    }

    /// What a list or watch is narrowed to; a name in the path narrows to that name.
    pub(super) fn selector(&self, call: &Call) -> Result<Selector, Status> {
        let fields = match &self.name {
            Some(name) => format!("metadata.name={name}"),
            None => call.query("fieldSelector").to_owned(),
        };
        Selector::parse(call.query("labelSelector"), &fields)
    }

    /// The namespace to look into; `None` is all.
    pub(super) fn scope(&self) -> Option<&str> {
        let namespace = self.namespace.as_deref();
        namespace.filter(|_| self.resource.namespaced)
    }

    /// The key of the named object.
    pub(super) fn key(&self) -> Result<Key, Status> {
        let name = self.name.as_deref().ok_or_else(Status::no_such_path)?;
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Ok(Key::new(self.resource, namespace, name))
    }

    /// `deployments`, or `deployments/status`.
    pub(super) fn qualified_resource(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource.plural),
            None => self.resource.plural.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str) -> Option<(String, Option<String>, Option<String>)> {
        let target = Target::parse(path)?;
        Some((target.qualified_resource(), target.namespace, target.name))
    }

    #[test]
    fn paths_name_their_targets() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            ("/api/v1/pods", ("pods", None, None)),
            ("/api/v1/namespaces", ("namespaces", None, None)),
            (
                "/api/v1/namespaces/shop",
                ("namespaces", some("shop"), some("shop")),
            ),
            (
                "/api/v1/namespaces/shop/pods/a/log",
                ("pods/log", some("shop"), some("a")),
            ),
            (
                "/apis/apps/v1/namespaces/shop/deployments/api/status",
                ("deployments/status", some("shop"), some("api")),
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/x",
                ("clusterroles", None, some("x")),
            ),
        ];
        for (path, (resource, namespace, name)) in cases {
            assert_eq!(
                parsed(path),
                Some((resource.to_owned(), namespace, name)),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_not_served_is_no_target() {
        for path in [
            "/apis/apps/v1beta1/namespaces/shop/deployments",
            "/apis/apps/v1/deployments/api",
            "/apis/apps/v1/namespaces/shop/daemonsets",
            "/apis/apps/v1/namespaces/shop/deployments/api/scale",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/clusterroles",
            "/metrics",
        ] {
            assert_eq!(parsed(path), None, "{path}");
        }
    }
}

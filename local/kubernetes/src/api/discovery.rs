//! Discovery: what is served, for clients that ask before they act.

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::Response,
};
use serde_json::{Map, Value, json};

use super::answer;
use crate::catalog::{RESOURCES, Resource, groups};

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// What is answered without asking who calls.
pub(super) fn open(path: &str) -> Option<Response> {
    match path {
        "/version" => Some(answer(StatusCode::OK, &version())),
        "/healthz" | "/livez" | "/readyz" => {
            let mut response = Response::new(Body::from("ok"));
            let plain = header::HeaderValue::from_static("text/plain");
            response.headers_mut().insert(header::CONTENT_TYPE, plain);
            Some(response)
        }
        _ => None,
    }
}

/// The version whose answers this server is modelled on.
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.2",
        "gitCommit": "local",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// Documents about the server, for any caller it knows.
pub(super) fn document(path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] => Some(json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        })),
        ["apis"] => {
            let named = groups().into_iter().filter(|(group, _)| !group.is_empty());
            let groups: Vec<Value> = named
                .map(|(group, version)| self::group(group, version))
                .collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let (group, version) = groups()
                .into_iter()
                .find(|(group, _)| group == name && !group.is_empty())?;
            let mut document = self::group(group, version);
            document["kind"] = json!("APIGroup");
            document["apiVersion"] = json!("v1");
            Some(document)
        }
        ["api", version] => resources("", version),
        ["apis", group, version] => resources(group, version),
        ["openapi", "v3"] => Some(openapi_index()),
        ["openapi", "v3", "api", version] => openapi("", version),
        ["openapi", "v3", "apis", group, version] => openapi(group, version),
        _ => None,
    }
}

fn group(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

fn of_group<'a>(
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'static Resource> + use<'a> {
    RESOURCES
        .iter()
        .filter(move |resource| resource.group == group && resource.version == version)
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let mut served = Vec::new();
    let mut group_version = String::new();
    for resource in of_group(group, version) {
        group_version = resource.api_version();
        served.push(json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": VERBS,
            "shortNames": resource.short,
        }));
        for subresource in resource.subresources() {
            let verbs: &[&str] = match subresource {
                "log" => &["get"],
                _ => &["get", "patch", "update"],
            };
            served.push(json!({
                "name": format!("{}/{subresource}", resource.plural),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": verbs,
            }));
        }
    }
    (!served.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": served,
        })
    })
}

fn root(resource: &Resource) -> String {
    let prefix = if resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    format!("{prefix}/{}", resource.api_version())
}

fn openapi_index() -> Value {
    let mut paths = Map::new();
    for resource in RESOURCES {
        let root = root(resource);
        let url = json!({"serverRelativeURL": format!("/openapi/v3/{root}")});
        paths.insert(root, url);
    }
    json!({ "paths": paths })
}

/// The paths of a group without schemas: enough for `kubectl` to see that it may leave validation
/// to the server, and that a dry run is a dry run.
fn openapi(group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    for resource in of_group(group, version) {
        let namespace = if resource.namespaced {
            "namespaces/{namespace}/"
        } else {
            ""
        };
        let path = format!(
            "/{}/{namespace}{}/{{name}}",
            root(resource),
            resource.plural
        );
        let parameter =
            |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
        let patch = json!({
            "parameters": [parameter("dryRun"), parameter("fieldManager"), parameter("fieldValidation"), parameter("force")],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {
                "group": resource.group, "version": resource.version, "kind": resource.kind,
            },
        });
        paths.insert(path, json!({ "patch": patch }));
    }
    (!paths.is_empty()).then(|| {
        json!({
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.36.2"},
            "paths": paths,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_has_the_recorded_fields() {
        let recorded: Value =
            serde_json::from_str(include_str!("../../tests/fixtures/version.json")).unwrap();
        let fields = |value: &Value| {
            let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            fields.sort();
            fields
        };
        assert_eq!(fields(&version()), fields(&recorded));
        assert_eq!(version()["gitVersion"], recorded["gitVersion"]);
    }

    #[test]
    fn every_group_leads_to_its_resources() {
        let groups = document("/apis").unwrap();
        for group in groups["groups"].as_array().unwrap() {
            let version = group["preferredVersion"]["groupVersion"].as_str().unwrap();
            let resources = document(&format!("/apis/{version}")).unwrap();
            assert!(!resources["resources"].as_array().unwrap().is_empty());
            assert!(document(&format!("/openapi/v3/apis/{version}")).is_some());
        }
        assert!(document("/api/v1").is_some());
        assert!(document("/apis/apps/v1beta1").is_none());
        assert!(document("/apis/nosuch").is_none());
    }
}

//! The environment of a container.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::json::{items, text};

/// Variables that every pod gets, and those of its service account.
#[derive(Debug, Clone, Default)]
pub(crate) struct PodEnvironment {
    pub(crate) common: BTreeMap<String, String>,
    /// By `namespace/service-account`.
    pub(crate) by_service_account: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a container runs.
pub(super) struct Place<'a> {
    pub(super) port: u16,
    pub(super) work: &'a Path,
}

/// All variables of a container, and none else: later ones win.
///
/// Nothing of the stand-in's own environment; the image's variables; the given ones, as a real
/// cluster injects a role's credentials; the pod template's; the place that only the node knows.
/// An error says which variable can't be had.
pub(super) fn resolve(
    given: &PodEnvironment,
    image: &BTreeMap<String, String>,
    pod: &Value,
    container: &Value,
    place: &Place<'_>,
) -> Result<BTreeMap<String, String>, String> {
    let name = text(pod, "/metadata/name");
    let mut variables = BTreeMap::from([
        (
            "PATH".to_owned(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOSTNAME".to_owned(), name.to_owned()),
    ]);
    variables.extend(image.clone());
    variables.extend(given.common.clone());
    let account = match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        account => account,
    };
    let account = format!("{}/{account}", text(pod, "/metadata/namespace"));
    if let Some(own) = given.by_service_account.get(&account) {
        variables.extend(own.clone());
    }
    if !items(container, "/envFrom").is_empty() {
        return Err("envFrom is not supported here".to_owned());
    }
    for variable in items(container, "/env") {
        let value = match variable.get("valueFrom") {
            None => text(variable, "/value").to_owned(),
            Some(source) => from_pod(pod, source)
                .ok_or_else(|| format!("{}: {source} is not supported here", variable["name"]))?,
        };
        variables.insert(text(variable, "/name").to_owned(), value);
    }
    let root = place.work.join(text(container, "/name"));
    variables.insert("SERVE_PORT".to_owned(), place.port.to_string());
    variables.insert("ML_ROOT".to_owned(), root.display().to_string());
    Ok(variables)
}

/// The field of the pod that `source` names.
fn from_pod(pod: &Value, source: &Value) -> Option<String> {
    let path = source.pointer("/fieldRef/fieldPath")?.as_str()?;
    let value = match path {
        "metadata.name"
        | "metadata.namespace"
        | "metadata.uid"
        | "spec.nodeName"
        | "spec.serviceAccountName" => text(pod, &format!("/{}", path.replace('.', "/"))),
        "status.podIP" | "status.hostIP" => "127.0.0.1",
        _ => {
            let (map, key) = path.strip_suffix("']")?.split_once("['")?;
            let map = match map {
                "metadata.labels" => &pod["metadata"]["labels"],
                "metadata.annotations" => &pod["metadata"]["annotations"],
                _ => return None,
            };
            map[key].as_str().unwrap_or_default()
        }
    };
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn given() -> PodEnvironment {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        PodEnvironment {
            common: map(&[
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                ("AWS_KEY", "nobody"),
            ]),
            by_service_account: BTreeMap::from([(
                "shop/api".to_owned(),
                map(&[("AWS_KEY", "api")]),
            )]),
        }
    }

    fn resolved(env: &Value) -> Result<BTreeMap<String, String>, String> {
        let pod = json!({
            "metadata": {"name": "api-1", "namespace": "shop", "labels": {"release": "r1"}},
            "spec": {"serviceAccountName": "api"}
        });
        let image = BTreeMap::from([
            ("LANG".to_owned(), "C".to_owned()),
            ("MODE".to_owned(), "image".to_owned()),
        ]);
        let place = Place {
            port: 4321,
            work: Path::new("/state/pods/shop/api-1"),
        };
        resolve(
            &given(),
            &image,
            &pod,
            &json!({"name": "api", "env": env}),
            &place,
        )
    }

    #[test]
    fn the_template_wins_over_account_and_image() {
        let variables = resolved(&json!([
            {"name": "MODE", "value": "template"},
            {"name": "SERVE_PORT", "value": "8080"},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "RELEASE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['release']"}}}
        ]))
        .unwrap();
        let of = |name: &str| variables[name].as_str();
        assert_eq!(of("MODE"), "template");
        assert_eq!(of("LANG"), "C");
        assert_eq!(of("AWS_KEY"), "api");
        assert_eq!(of("AWS_ENDPOINT_URL"), "http://127.0.0.1:1");
        assert_eq!(of("SERVE_PORT"), "4321", "the node alone knows the port");
        assert_eq!(of("POD"), "api-1");
        assert_eq!(of("RELEASE"), "r1");
        assert!(
            !variables.contains_key("CARGO_MANIFEST_DIR"),
            "nothing leaks in"
        );
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let secret =
            json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
        assert!(resolved(&secret).unwrap_err().contains("KEY"));
    }
}

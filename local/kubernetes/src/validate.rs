//! The rules of objects that the controllers rely on, refused with 422 as an API server does.

use serde_json::{Value, json};

use crate::{
    catalog::{DEPLOYMENTS, PODS, Resource, SERVICES},
    error::{Cause, Status},
    json::{items, text},
};

/// Checks `new`, and that it may follow `old`.
pub(crate) fn check(resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    let mut causes = Vec::new();
    name(text(new, "/metadata/name"), &mut causes);
    if *resource == DEPLOYMENTS {
        deployment(old, new, &mut causes);
    } else if *resource == PODS {
        containers(new, "/spec", "spec", &mut causes);
    } else if *resource == SERVICES && items(new, "/spec/ports").is_empty() {
        causes.push(Cause::required("spec.ports"));
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = text(new, "/metadata/name");
    Err(Status::invalid(resource, name, &causes))
}

fn name(name: &str, causes: &mut Vec<Cause>) {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    // Role names may hold colons (`system:…`); everything else is a DNS name.
    let inner = |c: char| ends(c) || matches!(c, '-' | '.' | ':');
    let valid = name.len() <= 253
        && name.starts_with(ends)
        && name.ends_with(ends)
        && name.chars().all(inner);
    if !valid {
        let why = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
        causes.push(Cause::invalid("metadata.name", &json!(name), why));
    }
}

fn deployment(old: Option<&Value>, new: &Value, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    for field in [
        "replicas",
        "minReadySeconds",
        "revisionHistoryLimit",
        "progressDeadlineSeconds",
    ] {
        if let Some(value) = spec.get(field)
            && value.as_i64().is_none_or(|number| number < 0)
        {
            let why = "must be greater than or equal to 0";
            causes.push(Cause::invalid(&format!("spec.{field}"), value, why));
        }
    }
    let seconds = |field: &str| spec.get(field).and_then(Value::as_i64).unwrap_or_default();
    if seconds("progressDeadlineSeconds") <= seconds("minReadySeconds") {
        let why = "must be greater than minReadySeconds";
        let value = &spec["progressDeadlineSeconds"];
        causes.push(Cause::invalid("spec.progressDeadlineSeconds", value, why));
    }
    strategy(&spec["strategy"], causes);
    selector(old, spec, causes);
    containers(new, "/spec/template/spec", "spec.template.spec", causes);
}

fn strategy(strategy: &Value, causes: &mut Vec<Cause>) {
    match text(strategy, "/type") {
        "RollingUpdate" => {
            let limit = |field: &str| &strategy["rollingUpdate"][field];
            let mut zeros = 0;
            for field in ["maxUnavailable", "maxSurge"] {
                match crate::controller::amount(limit(field), 100) {
                    Some(0) => zeros += 1,
                    Some(_) => {}
                    None => causes.push(Cause::invalid(
                        &format!("spec.strategy.rollingUpdate.{field}"),
                        limit(field),
                        "must be an integer or a percentage (e.g '5%')",
                    )),
                }
            }
            if zeros == 2 {
                causes.push(Cause::invalid(
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    limit("maxUnavailable"),
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
        }
        "Recreate" => {}
        _ => causes.push(Cause {
            reason: "FieldValueNotSupported",
            field: "spec.strategy.type".to_owned(),
            message: format!(
                "Unsupported value: {}: supported values: \"Recreate\", \"RollingUpdate\"",
                strategy["type"]
            ),
        }),
    }
}

fn selector(old: Option<&Value>, spec: &Value, causes: &mut Vec<Cause>) {
    let selector = &spec["selector"];
    let wanted = selector["matchLabels"].as_object();
    if wanted.is_none_or(serde_json::Map::is_empty) {
        causes.push(Cause::required("spec.selector"));
        return;
    }
    let labels = &spec["template"]["metadata"]["labels"];
    if wanted
        .into_iter()
        .flatten()
        .any(|(label, value)| labels.get(label) != Some(value))
    {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            labels,
            "`selector` does not match template `labels`",
        ));
    }
    if let Some(old) = old
        && old["spec"]["selector"] != *selector
    {
        let why = "field is immutable";
        causes.push(Cause::invalid("spec.selector", selector, why));
    }
}

fn containers(object: &Value, pointer: &str, path: &str, causes: &mut Vec<Cause>) {
    let containers = items(object, &format!("{pointer}/containers"));
    if containers.is_empty() {
        causes.push(Cause::required(&format!("{path}.containers")));
    }
    let mut names = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if text(container, &format!("/{field}")).is_empty() {
                causes.push(Cause::required(&format!("{path}.containers[{at}].{field}")));
            }
        }
        let name = text(container, "/name");
        if names.contains(&name) {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                field: format!("{path}.containers[{at}].name"),
                message: format!("Duplicate value: {name:?}"),
            });
        }
        names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Value {
        let text = include_str!("../tests/fixtures/deployment-complete.json");
        serde_json::from_str(text).unwrap()
    }

    fn fields(old: Option<&Value>, new: &Value) -> Vec<String> {
        let refused = check(&DEPLOYMENTS, old, new).unwrap_err();
        assert_eq!(refused.code, 422);
        let details = refused.details.unwrap();
        items(&details, "/causes")
            .iter()
            .map(|cause| text(cause, "/field").to_owned())
            .collect()
    }

    #[test]
    fn a_recorded_deployment_is_valid() {
        check(&DEPLOYMENTS, Some(&valid()), &valid()).unwrap();
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        type Breaks = fn(&mut Value);
        let rules: [(&str, Breaks); 6] = [
            ("metadata.name", |d| d["metadata"]["name"] = json!("Api_1")),
            ("spec.replicas", |d| d["spec"]["replicas"] = json!(-1)),
            ("spec.selector", |d| {
                d["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
                d["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
            }),
            ("spec.template.metadata.labels", |d| {
                d["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
            }),
            ("spec.template.spec.containers[0].image", |d| {
                d["spec"]["template"]["spec"]["containers"][0]["image"] = json!("");
            }),
            ("spec.strategy.rollingUpdate.maxUnavailable", |d| {
                d["spec"]["strategy"]["rollingUpdate"] =
                    json!({"maxSurge": "0%", "maxUnavailable": 0});
            }),
        ];
        for (field, breaks) in rules {
            let mut broken = valid();
            breaks(&mut broken);
            assert_eq!(fields(Some(&valid()), &broken), [field]);
        }
    }
}

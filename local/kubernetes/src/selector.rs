//! Label and field selectors.

use serde_json::Value;

use crate::{
    error::Status,
    json::{items, strings},
};

/// One requirement of a label selector.
#[derive(Debug, PartialEq)]
enum Requirement {
    /// The label is there with one of these values.
    In(String, Vec<String>),
    /// The label is absent or has none of these values.
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// What a list or a watch is narrowed to.
#[derive(Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    /// Dotted path, value, and whether it must be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(labels: &str, fields: &str) -> Result<Self, Status> {
        let mut selector = Self::default();
        for requirement in split(labels) {
            selector.labels.push(parse_requirement(&requirement)?);
        }
        for term in fields.split(',').filter(|term| !term.is_empty()) {
            let (path, value, equal) = split_equality(term).ok_or_else(|| {
                Status::bad_request(format!("invalid selector: {term:?}; can't understand"))
            })?;
            selector.fields.push((path, value, equal));
        }
        Ok(selector)
    }

    /// The value that `metadata.name` is narrowed to.
    pub(crate) fn name(&self) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(path, _, equal)| path == "metadata.name" && *equal)
            .map(|(_, value, _)| value.as_str())
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let label = |name: &str| {
            let labels = object.pointer("/metadata/labels")?;
            labels.get(name)?.as_str()
        };
        let holds = |requirement: &Requirement| match requirement {
            Requirement::In(name, values) => {
                label(name).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Requirement::NotIn(name, values) => {
                label(name).is_none_or(|found| values.iter().all(|value| value != found))
            }
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Absent(name) => label(name).is_none(),
        };
        self.labels.iter().all(holds)
            && self.fields.iter().all(|(path, value, equal)| {
                let found = path
                    .split('.')
                    .try_fold(object, |object, step| object.get(step))
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                (found == value) == *equal
            })
    }
}

/// Splits at commas that stand outside parentheses.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn split_equality(term: &str) -> Option<(String, String, bool)> {
    let (left, right, equal) = if let Some((left, right)) = term.split_once("!=") {
        (left, right, false)
    } else if let Some((left, right)) = term.split_once("==") {
        (left, right, true)
    } else {
        let (left, right) = term.split_once('=')?;
        (left, right, true)
    };
    Some((left.trim().to_owned(), right.trim().to_owned(), equal))
}

fn parse_requirement(text: &str) -> Result<Requirement, Status> {
    let text = text.trim();
    if let Some((head, values)) = text.split_once('(') {
        let values = values.trim_end_matches(')').split(',');
        let values = values.map(|value| value.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [name, "in"] => Ok(Requirement::In((*name).to_owned(), values)),
            [name, "notin"] => Ok(Requirement::NotIn((*name).to_owned(), values)),
            _ => Err(Status::bad_request(format!(
                "unable to parse requirement: {text:?}"
            ))),
        };
    }
    Ok(match (split_equality(text), text.strip_prefix('!')) {
        (Some((name, value, true)), _) => Requirement::In(name, vec![value]),
        (Some((name, value, false)), _) => Requirement::NotIn(name, vec![value]),
        (None, Some(name)) => Requirement::Absent(name.trim().to_owned()),
        (None, None) => Requirement::Exists(text.to_owned()),
    })
}

/// Whether `labels` satisfy a `LabelSelector` (`matchLabels` and `matchExpressions`).
pub(crate) fn label_selector_matches(selector: &Value, labels: &Value) -> bool {
    let value_of = |name: &str| labels.get(name).and_then(Value::as_str);
    strings(selector, "/matchLabels").all(|(name, value)| value_of(name) == Some(value))
        && items(selector, "/matchExpressions")
            .iter()
            .all(|expression| {
                let found = expression["key"].as_str().and_then(value_of);
                let listed = found.is_some_and(|found| {
                    items(expression, "/values")
                        .iter()
                        .any(|value| value == found)
                });
                match expression["operator"].as_str() {
                    Some("In") => listed,
                    Some("NotIn") => !listed,
                    Some("Exists") => found.is_some(),
                    Some("DoesNotExist") => found.is_none(),
                    _ => false,
                }
            })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_select() {
        let object = json!({"metadata": {"name": "a", "labels": {"app": "api", "tier": "web"}}});
        let cases = [
            ("app=api", true),
            ("app==api,tier!=db", true),
            ("app in (x, api),tier", true),
            ("app notin (api)", false),
            ("!canary", true),
            ("!app", false),
            ("missing!=x", true),
            ("app=other", false),
        ];
        for (text, expected) in cases {
            let selector = Selector::parse(text, "").unwrap();
            assert_eq!(selector.matches(&object), expected, "{text}");
        }
        assert!(Selector::parse("app near (x)", "").is_err());
    }

    #[test]
    fn field_selectors_select() {
        let object = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        let selector = Selector::parse("", "metadata.name=a,status.phase!=Failed").unwrap();
        assert!(selector.matches(&object));
        assert_eq!(selector.name(), Some("a"));
        assert!(
            !Selector::parse("", "metadata.name=b")
                .unwrap()
                .matches(&object)
        );
        assert!(Selector::parse("", "nonsense").is_err());
    }

    #[test]
    fn label_selectors_of_objects_know_expressions() {
        let labels = json!({"app": "api"});
        let selector = json!({
            "matchLabels": {"app": "api"},
            "matchExpressions": [
                {"key": "app", "operator": "In", "values": ["api"]},
                {"key": "canary", "operator": "DoesNotExist"}
            ]
        });
        assert!(label_selector_matches(&selector, &labels));
        assert!(!label_selector_matches(
            &selector,
            &json!({"app": "api", "canary": "1"})
        ));
    }
}

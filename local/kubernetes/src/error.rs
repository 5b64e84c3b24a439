//! Refusals of the API: `Status` objects in the words of a real API server.

use serde_json::{Map, Value, json};

use crate::catalog::Resource;

/// One refusal, answered as `{"kind": "Status", "status": "Failure", …}`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code} {reason}: {message}")]
pub(crate) struct Status {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
}

/// One reason why an object is invalid.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Cause {
    pub(crate) fn required(field: &str) -> Self {
        Self {
            reason: "FieldValueRequired",
            field: field.to_owned(),
            message: "Required value".to_owned(),
        }
    }

    pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.to_owned(),
            message: format!("Invalid value: {value}: {why}"),
        }
    }
}

impl Status {
    fn new(code: u16, reason: &'static str, message: String, details: Option<Value>) -> Self {
        Self {
            code,
            reason,
            message,
            details,
        }
    }

    /// 401: no identity behind the request.
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized".to_owned(), None)
    }

    /// 403 with the authorizer's sentence after `is forbidden: `.
    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} is forbidden: {why}", resource.quoted(name));
        Self::new(403, "Forbidden", message, Some(details(resource, name)))
    }

    /// 404 of a named object.
    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} not found", resource.quoted(name));
        Self::new(404, "NotFound", message, Some(details(resource, name)))
    }

    /// 404 of a path that is served by nothing.
    pub(crate) fn no_such_path() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Self::new(404, "NotFound", message, Some(json!({})))
    }

    /// 405: the resource is here, the verb isn't.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource".to_owned();
        Self::new(405, "MethodNotAllowed", message, Some(json!({})))
    }

    /// 400 with the reason in words.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message.into(), None)
    }

    /// 415: a body in a format that isn't spoken here.
    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message, None)
    }

    /// 409: the name is taken.
    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} already exists", resource.quoted(name));
        Self::new(409, "AlreadyExists", message, Some(details(resource, name)))
    }

    /// 409: the caller read an older version than there is.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        Self::precondition(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409: a precondition of the caller doesn't hold.
    pub(crate) fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {}: {why}",
            resource.quoted(name)
        );
        Self::new(409, "Conflict", message, Some(details(resource, name)))
    }

    /// 409 of a server-side apply: each conflict is the other manager, in words, and the field.
    pub(crate) fn apply_conflict(conflicts: &[(String, String)]) -> Self {
        let causes: Vec<Value> = conflicts
            .iter()
            .map(|(manager, field)| {
                json!({
                    "reason": "FieldManagerConflict",
                    "message": format!("conflict with {manager}"),
                    "field": field,
                })
            })
            .collect();
        let message = if let [(manager, field)] = conflicts {
            format!("Apply failed with 1 conflict: conflict with {manager}: {field}")
        } else {
            let mut lines = Vec::new();
            let mut last = None;
            for (manager, field) in conflicts {
                if last != Some(manager) {
                    lines.push(format!("conflicts with {manager}:"));
                    last = Some(manager);
                }
                lines.push(format!("- {field}"));
            }
            let (count, lines) = (conflicts.len(), lines.join("\n"));
            format!("Apply failed with {count} conflicts: {lines}")
        };
        Self::new(409, "Conflict", message, Some(json!({ "causes": causes })))
    }

    /// 410: the version a watch starts from isn't kept any more.
    pub(crate) fn expired(asked: u64, oldest: u64) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::new(410, "Expired", message, None)
    }

    /// 422 of a JSON patch that can't be applied, a failed `test` among them.
    pub(crate) fn patch_rejected() -> Self {
        let message = "the server rejected our request due to an error in our request".to_owned();
        Self::new(422, "Invalid", message, Some(json!({})))
    }

    /// 422 of an object that breaks a rule.
    pub(crate) fn invalid(resource: &Resource, name: &str, causes: &[Cause]) -> Self {
        let kind = if resource.group.is_empty() {
            resource.kind.to_owned()
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        let sentences: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let sentence = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut details = details(resource, name);
        details["kind"] = json!(resource.kind);
        details["causes"] = json!(causes);
        Self::new(
            422,
            "Invalid",
            format!("{kind} {name:?} is invalid: {sentence}"),
            Some(details),
        )
    }

    /// 500: the stand-in itself failed.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message.into(), None)
    }

    /// The `Status` object.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            body["details"] = details.clone();
        }
        body
    }
}

/// `details` of a refusal about one resource; empty names and the core group are left out.
pub(crate) fn details(resource: &Resource, name: &str) -> Value {
    let mut details = Map::new();
    for (field, value) in [
        ("name", name),
        ("group", resource.group),
        ("kind", resource.plural),
    ] {
        if !value.is_empty() {
            details.insert(field.to_owned(), json!(value));
        }
    }
    Value::Object(details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    fn recorded(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn refusals_have_the_recorded_shapes() {
        let deployments = catalog::find("apps", "deployments").unwrap();
        assert_eq!(
            Status::unauthorized().body(),
            recorded(include_str!("../tests/fixtures/401.json"))
        );
        assert_eq!(
            Status::not_found(deployments, "nosuch").body(),
            recorded(include_str!("../tests/fixtures/404.json"))
        );
        assert_eq!(
            Status::patch_rejected().body(),
            recorded(include_str!("../tests/fixtures/422-json-patch-test.json"))
        );
    }

    #[test]
    fn several_conflicts_are_listed_by_manager() {
        let conflicts = [
            (r#""a" using apps/v1"#.to_owned(), ".spec.x".to_owned()),
            (r#""a" using apps/v1"#.to_owned(), ".spec.y".to_owned()),
        ];
        assert_eq!(
            Status::apply_conflict(&conflicts).message,
            "Apply failed with 2 conflicts: conflicts with \"a\" using apps/v1:\n- .spec.x\n- .spec.y"
        );
    }
}

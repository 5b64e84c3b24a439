//! A policy taken apart: each call that it allows, and which statement allows it.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// One action on one resource, by one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `Sid` of the statement, or its place among the statements.
    pub sid: String,
    /// `s3:GetObject`.
    pub action: String,
    /// ARN with its wildcards.
    pub resource: String,
    /// The statement's condition; `null` without one.
    pub condition: Value,
}

/// All that a document allows, in its order.
///
/// # Errors
///
/// It isn't a policy, or has a statement that doesn't allow.
pub fn grants(policy: &Value) -> anyhow::Result<Vec<Grant>> {
    let mut grants = Vec::new();
    let statements = texts_or_one(&policy["Statement"]);
    for (number, statement) in statements.iter().enumerate() {
        let sid = statement["Sid"].as_str();
        let sid = sid.map_or_else(|| number.to_string(), str::to_owned);
        if statement["Effect"] != "Allow" {
            bail!("statement {sid} doesn't allow");
        }
        for action in texts_or_one(&statement["Action"]) {
            for resource in texts_or_one(&statement["Resource"]) {
                grants.push(Grant {
                    sid: sid.clone(),
                    action: action.as_str().context("an action is a text")?.to_owned(),
                    resource: resource
                        .as_str()
                        .context("a resource is a text")?
                        .to_owned(),
                    condition: statement["Condition"].clone(),
                });
            }
        }
    }
    Ok(grants)
}

/// A document that allows these and nothing else. Actions on one resource share a statement: a role's
/// policies have a limit of characters.
pub fn document<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> Value {
    let mut statements: Vec<Value> = Vec::new();
    for grant in grants {
        let (resource, condition) = (json!(grant.resource), &grant.condition);
        let same = |statement: &&mut Value| {
            statement["Resource"] == resource
                && statement.get("Condition").unwrap_or(&Value::Null) == condition
        };
        if let Some(statement) = statements.iter_mut().find(same) {
            if let Some(actions) = statement["Action"].as_array_mut() {
                actions.push(json!(grant.action));
            }
            continue;
        }
        let mut statement =
            json!({"Effect": "Allow", "Action": [grant.action], "Resource": resource});
        if !condition.is_null() {
            statement["Condition"] = condition.clone();
        }
        statements.push(statement);
    }
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn texts_or_one(value: &Value) -> &[Value] {
    match value {
        Value::Array(many) => many,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{document, grants};

    #[test]
    fn a_policy_is_taken_apart_and_put_together() {
        let via = json!({"StringEquals": {"kms:ViaService": "s3.r.amazonaws.com"}});
        let policy = json!({"Statement": [
            {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["a", "b"]},
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "k", "Condition": via},
        ]});
        let parts = grants(&policy).unwrap();
        let told = |n: usize| {
            (
                parts[n].sid.as_str(),
                parts[n].action.as_str(),
                parts[n].resource.as_str(),
            )
        };
        assert_eq!(parts.len(), 5);
        assert_eq!(told(1), ("Read", "s3:GetObject", "b"));
        assert_eq!(told(4), ("1", "kms:Decrypt", "k"));
        assert_eq!(
            document(&parts)["Statement"],
            json!([
                {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "a"},
                {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "b"},
                {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": "k", "Condition": via},
            ])
        );
        let denies = json!({"Statement": {"Effect": "Deny", "Action": "a:B", "Resource": "*"}});
        assert!(grants(&denies).is_err());
    }
}

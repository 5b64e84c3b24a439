//! IAM policy documents: the part of the language our policies use, evaluated as IAM does.
//!
//! Anything else in a document (`NotAction`, another condition operator) is an error when it is
//! read, so that no policy means more here than on AWS.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Why a document can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a policy document, or an element we don't know.
    #[error("not a policy document: {0}")]
    Document(String),
    /// A condition operator we don't know.
    #[error("condition operator {0} is not supported here")]
    Operator(String),
}

/// A policy document.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    effect: Effect,
    actions: Vec<String>,
    resources: Vec<String>,
    /// AWS services a resource's policy speaks of; empty in a role's policy.
    services: Vec<String>,
    /// A resource's policy speaks of everyone, `{"AWS": "*"}`.
    anyone: bool,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone)]
struct Condition {
    operator: Operator,
    /// In lower case: condition keys ignore case.
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Equals,
    Like,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// `sqs:SendMessage`.
    pub action: &'a str,
    /// ARN, or `*`.
    pub resource: &'a str,
    /// Condition keys in lower case (`aws:sourcearn`) and their values.
    pub context: &'a BTreeMap<String, String>,
}

/// IAM's answer. What isn't allowed is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    Denied,
    /// No statement speaks of it.
    NotAllowed,
}

impl Policy {
    /// Reads a document.
    pub fn parse(document: &Value) -> Result<Self, PolicyError> {
        let document: Document = serde_json::from_value(document.clone())
            .map_err(|error| PolicyError::Document(error.to_string()))?;
        let statements = document.statement.into_vec();
        let statements: Result<_, _> = statements.into_iter().map(Statement::parse).collect();
        Ok(Self {
            statements: statements?,
        })
    }

    /// Actions that some statement allows.
    pub fn allowed_actions(&self) -> impl Iterator<Item = &str> {
        self.allowed().map(|(action, _)| action)
    }

    /// Actions that some statement allows, each with the statement's resources.
    pub fn allowed(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.statements
            .iter()
            .filter(|statement| statement.effect == Effect::Allow)
            .flat_map(|statement| {
                let resources = statement.resources.as_slice();
                statement
                    .actions
                    .iter()
                    .map(move |action| (action.as_str(), resources))
            })
    }

    /// A resource's own policy: may an AWS service (`events.amazonaws.com`) do this?
    pub fn allows_service(&self, service: &str, request: &Request<'_>) -> bool {
        let named = self.statements.iter().filter(|statement| {
            statement.anyone || statement.services.iter().any(|name| name == service)
        });
        verdict(named, request) == Verdict::Allowed
    }
}

/// Evaluates a role's policies together.
pub fn evaluate<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    request: &Request<'_>,
) -> Verdict {
    let statements = policies.into_iter().flat_map(|policy| &policy.statements);
    verdict(statements, request)
}

fn verdict<'a>(statements: impl Iterator<Item = &'a Statement>, request: &Request<'_>) -> Verdict {
    let mut verdict = Verdict::NotAllowed;
    for statement in statements.filter(|statement| statement.matches(request)) {
        match statement.effect {
            Effect::Deny => return Verdict::Denied,
            Effect::Allow => verdict = Verdict::Allowed,
        }
    }
    verdict
}

impl Statement {
    fn parse(shape: StatementShape) -> Result<Self, PolicyError> {
        let mut conditions = Vec::new();
        for (operator, keys) in shape.condition {
            let known = match operator.as_str() {
                // What we ask of a `Bool` is a word, too.
                "StringEquals" | "Bool" => Operator::Equals,
                // IAM treats the two ARN operators alike.
                "StringLike" | "ArnLike" | "ArnEquals" => Operator::Like,
                _ => return Err(PolicyError::Operator(operator)),
            };
            for (key, values) in keys {
                conditions.push(Condition {
                    operator: known,
                    key: key.to_lowercase(),
                    values: values.into_vec(),
                });
            }
        }
        let principal = shape.principal.unwrap_or_default();
        let texts = |list: Option<OneOrMany<_>>| list.map(OneOrMany::into_vec).unwrap_or_default();
        Ok(Self {
            effect: shape.effect,
            actions: shape.action.into_vec(),
            resources: shape.resource.into_vec(),
            services: texts(principal.service),
            anyone: texts(principal.aws).iter().any(|name| name == "*"),
            conditions,
        })
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        let action = request.action.to_lowercase();
        self.actions
            .iter()
            .any(|pattern| like(&pattern.to_lowercase(), &action))
            && self
                .resources
                .iter()
                .any(|pattern| like(pattern, request.resource))
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds(request.context))
    }
}

impl Condition {
    /// A key that isn't in the context doesn't hold.
    fn holds(&self, context: &BTreeMap<String, String>) -> bool {
        let Some(actual) = context.get(&self.key) else {
            return false;
        };
        self.values.iter().any(|expected| match self.operator {
            Operator::Equals => expected == actual,
            Operator::Like => like(expected, actual),
        })
    }
}

/// IAM's wildcards: `*` is any run of characters, `?` any one.
pub fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star doesn't match: the star takes one more byte.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t + 1));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, next)) => {
                    (p, t) = (after_star, next);
                    retry = Some((after_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<StatementShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatementShape {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<Principal>,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, OneOrMany<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Principal {
    service: Option<OneOrMany<String>>,
    #[serde(rename = "AWS")]
    aws: Option<OneOrMany<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::{Policy, PolicyError, Request, Verdict, evaluate, like};

    const QUEUE: &str = "arn:aws:sqs:r:1:q";

    fn judge(statements: &Value, action: &str, resource: &str) -> Verdict {
        let policy =
            Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap();
        let context = [(
            "iam:passedtoservice".to_owned(),
            "sagemaker.amazonaws.com".to_owned(),
        )];
        let context = BTreeMap::from(context);
        evaluate(
            [&policy],
            &Request {
                action,
                resource,
                context: &context,
            },
        )
    }

    #[test]
    fn table_of_verdicts() {
        let allow = |action: &str, resource: &str| json!([{"Effect": "Allow", "Action": action, "Resource": resource}]);
        let with = |condition: Value| json!({"Effect": "Allow", "Action": ["sqs:*"], "Resource": ["*"], "Condition": condition});
        let denied = json!([
            {"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": QUEUE},
            {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"},
        ]);
        for (statements, expected) in [
            (json!([]), Verdict::NotAllowed),
            (allow("sqs:SendMessage", QUEUE), Verdict::Allowed),
            (allow("SQS:sendmessage", QUEUE), Verdict::Allowed),
            (
                allow("sqs:SendMessage", "arn:aws:sqs:r:1:Q"),
                Verdict::NotAllowed,
            ),
            (allow("sqs:Send*", "arn:aws:sqs:*:?:q"), Verdict::Allowed),
            (allow("sqs:Receive*", "*"), Verdict::NotAllowed),
            (allow("*", "arn:aws:sqs:r:1:q*"), Verdict::Allowed),
            (
                allow("sqs:SendMessage", "arn:aws:sqs:r:1:"),
                Verdict::NotAllowed,
            ),
            (denied, Verdict::Denied),
            (
                with(
                    json!({"StringEquals": {"iam:PassedToService": ["x", "sagemaker.amazonaws.com"]}}),
                ),
                Verdict::Allowed,
            ),
            (
                with(json!({"StringEquals": {"iam:PassedToService": "sagemaker.*"}})),
                Verdict::NotAllowed,
            ),
            (
                with(json!({"StringLike": {"iam:PassedToService": "sagemaker.*"}})),
                Verdict::Allowed,
            ),
            (
                with(json!({"ArnLike": {"aws:SourceArn": "*"}})),
                Verdict::NotAllowed,
            ),
        ] {
            let found = judge(&statements, "sqs:SendMessage", QUEUE);
            assert_eq!(found, expected, "{statements}");
        }
    }

    #[test]
    fn what_isnt_understood_is_an_error_and_never_allows() {
        let statement = |more: Value| {
            let mut statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
            statement
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            Policy::parse(&json!({"Statement": statement})).map(drop)
        };
        assert_eq!(statement(json!({})), Ok(()));
        let operator = json!({"Condition": {"DateLessThan": {"aws:CurrentTime": "2020-01-01"}}});
        assert_eq!(
            statement(operator),
            Err(PolicyError::Operator("DateLessThan".to_owned()))
        );
        for unknown in [
            json!({"NotAction": "s3:*"}),
            json!({"Effect": "allow"}),
            json!({"Principal": "*"}),
        ] {
            assert!(matches!(statement(unknown), Err(PolicyError::Document(_))));
        }
        assert!(
            Policy::parse(&json!({"Statement": [{"Effect": "Allow", "Action": "*"}]})).is_err()
        );
    }

    #[test]
    fn a_queues_policy_lets_in_the_service_and_source_it_names() {
        let policy = Policy::parse(&json!({"Statement": {
            "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": QUEUE,
            "Condition": {"ArnEquals": {"aws:SourceArn": ["rule/a", "rule/b"]}},
        }}))
        .unwrap();
        let allows = |service: &str, source: &str| {
            let context = BTreeMap::from([("aws:sourcearn".to_owned(), source.to_owned())]);
            let request = Request {
                action: "sqs:SendMessage",
                resource: QUEUE,
                context: &context,
            };
            policy.allows_service(service, &request)
        };
        assert!(allows("events.amazonaws.com", "rule/b"));
        assert!(!allows("events.amazonaws.com", "rule/c"));
        assert!(!allows("sns.amazonaws.com", "rule/b"));
    }

    #[test]
    fn wildcards_backtrack() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "", false),
            ("a**", "a", true),
            ("*ab", "aab", true),
            ("", "a", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}

//! From the JSON of a pattern to its alternatives.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::operator::{OPERATORS, Operator};
use super::{Conjunction, PatternError, join};

/// The most combinations of `$or` alternatives that EventBridge accepts.
const MAX_COMBINATIONS: usize = 1000;

/// Where the parser is.
#[derive(Clone, Copy)]
struct Here<'a> {
    /// In the pattern, for errors.
    path: &'a str,
    /// In the event.
    field: &'a str,
    in_or: bool,
}

/// The pattern with every `$or` multiplied out.
pub(super) fn alternatives(pattern: &Value) -> Result<Vec<Conjunction>, PatternError> {
    let here = Here {
        path: "$",
        field: "",
        in_or: false,
    };
    let fields = pattern
        .as_object()
        .ok_or_else(|| PatternError::new(here.path, "a pattern must be a JSON object"))?;
    object(fields, here, vec![Conjunction::new()])
}

/// Adds the object's restrictions to each alternative so far.
fn object(
    fields: &Map<String, Value>,
    here: Here<'_>,
    mut alternatives: Vec<Conjunction>,
) -> Result<Vec<Conjunction>, PatternError> {
    if fields.is_empty() {
        return Err(PatternError::new(
            here.path,
            "an empty object is not allowed",
        ));
    }
    for (name, value) in fields {
        let path = format!("{}.{name}", here.path);
        let refuse = |problem: &str| Err(PatternError::new(&path, problem));
        if name == "$or" {
            alternatives = either(
                value,
                Here {
                    path: &path,
                    ..here
                },
                &alternatives,
            )?;
            continue;
        }
        if here.in_or && OPERATORS.contains(&name.as_str()) {
            return refuse("an operator can't name a field inside `$or`");
        }
        let field = join(here.field, name);
        match value {
            Value::Object(fields) => {
                let here = Here {
                    path: &path,
                    field: &field,
                    ..here
                };
                alternatives = object(fields, here, alternatives)?;
            }
            Value::Array(values) => {
                let operators = leaf(values, &path)?;
                for alternative in &mut alternatives {
                    let before = alternative.insert(field.clone(), Arc::clone(&operators));
                    if before.is_some() {
                        return refuse("the field is restricted elsewhere in the pattern, too");
                    }
                }
            }
            _ => return refuse("a field must have an object or an array of values"),
        }
    }
    Ok(alternatives)
}

/// Multiplies the alternatives so far by those of `$or`.
fn either(
    value: &Value,
    here: Here<'_>,
    so_far: &[Conjunction],
) -> Result<Vec<Conjunction>, PatternError> {
    let wrong = || PatternError::new(here.path, "`$or` needs an array of two objects or more");
    let choices = value
        .as_array()
        .filter(|choices| choices.len() >= 2)
        .ok_or_else(wrong)?;
    let mut alternatives = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        let path = format!("{}[{index}]", here.path);
        let choice = choice.as_object().ok_or_else(wrong)?;
        let here = Here {
            path: &path,
            in_or: true,
            ..here
        };
        alternatives.extend(object(choice, here, so_far.to_vec())?);
        if alternatives.len() > MAX_COMBINATIONS {
            let problem =
                format!("more than {MAX_COMBINATIONS} combinations of `$or` alternatives");
            return Err(PatternError::new(here.path, problem));
        }
    }
    Ok(alternatives)
}

fn leaf(values: &[Value], path: &str) -> Result<Arc<[Operator]>, PatternError> {
    if values.is_empty() {
        return Err(PatternError::new(path, "an empty array is not allowed"));
    }
    let operator = |(index, value)| Operator::parse(value, &format!("{path}[{index}]"));
    values.iter().enumerate().map(operator).collect()
}

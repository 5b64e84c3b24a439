//! What one element of a leaf's array accepts.

use std::ops::{Bound, RangeBounds as _};

use serde_json::{Map, Value};

use super::PatternError;

/// The operators; Event Ruler refuses them as names of fields inside `$or`.
pub(super) const OPERATORS: [&str; 8] = [
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
];

/// Numbers beyond this are never compared by `numeric`; epoch milliseconds are such numbers.
const LARGEST: f64 = 5e9;

/// One test of a scalar value.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    Equals(Value),
    Text(Text),
    Numeric(Bound<f64>, Bound<f64>),
    Exists,
    Absent,
    AnythingBut(Vec<Operator>),
}

impl Operator {
    /// Reads an element of a leaf's array, which is at `path`.
    pub(super) fn parse(value: &Value, path: &str) -> Result<Self, PatternError> {
        let refuse = |problem: &str| Err(PatternError::new(path, problem));
        let operator = match value {
            Value::Object(operator) => operator,
            Value::Array(_) => return refuse("a value must not be an array"),
            scalar => return Ok(Self::Equals(scalar.clone())),
        };
        let Some((name, operand)) = only(operator) else {
            return refuse("an operator object must hold exactly one operator");
        };
        let parsed = match (name, operand) {
            ("numeric", Value::Array(terms)) => numeric(terms),
            ("exists", Value::Bool(wanted)) => {
                Some(if *wanted { Self::Exists } else { Self::Absent })
            }
            ("anything-but", operand) => anything_but(operand),
            ("cidr", _) => return refuse("the operator `cidr` is not supported"),
            _ => Text::parse(name, operand).map(Self::Text),
        };
        match parsed {
            Some(operator) => Ok(operator),
            None if OPERATORS.contains(&name) => refuse(&format!("`{name}` can't take {operand}")),
            None => refuse(&format!("unknown operator `{name}`")),
        }
    }

    /// Whether a scalar that is there is accepted.
    pub(super) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Equals(wanted) => equal(wanted, value),
            Self::Text(text) => value.as_str().is_some_and(|value| text.matches(value)),
            Self::Numeric(low, high) => {
                let range = (*low, *high);
                value
                    .as_f64()
                    .is_some_and(|number| comparable(number) && range.contains(&number))
            }
            Self::Exists => true,
            Self::Absent => false,
            Self::AnythingBut(unwanted) => !unwanted.iter().any(|operator| operator.matches(value)),
        }
    }

    /// Whether a missing field is accepted.
    pub(super) fn matches_absence(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The only entry of an object.
fn only(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = object.iter();
    let (name, value) = entries.next()?;
    entries.next().is_none().then_some((name, value))
}

/// Equality by value: `300` and `3.0e2` are equal. Whole numbers are never rounded to be compared,
/// because account ids and epoch times are whole numbers.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) if x.is_f64() || y.is_f64() => {
            x.as_f64() == y.as_f64()
        }
        _ => a == b,
    }
}

fn comparable(number: f64) -> bool {
    number.abs() <= LARGEST
}

fn numeric(terms: &[Value]) -> Option<Operator> {
    let number = |value: &Value| value.as_f64().filter(|number| comparable(*number));
    let lower = |operator: &Value, bound: f64| match operator.as_str()? {
        ">" => Some(Bound::Excluded(bound)),
        ">=" => Some(Bound::Included(bound)),
        _ => None,
    };
    let upper = |operator: &Value, bound: f64| match operator.as_str()? {
        "<" => Some(Bound::Excluded(bound)),
        "<=" => Some(Bound::Included(bound)),
        _ => None,
    };
    let (low, high) = match terms {
        [operator, bound] => {
            let bound = number(bound)?;
            match (lower(operator, bound), upper(operator, bound)) {
                (Some(low), _) => (low, Bound::Unbounded),
                (_, Some(high)) => (Bound::Unbounded, high),
                _ if operator == "=" => (Bound::Included(bound), Bound::Included(bound)),
                _ => return None,
            }
        }
        [above, low, below, high] if number(low)? < number(high)? => {
            (lower(above, number(low)?)?, upper(below, number(high)?)?)
        }
        _ => return None,
    };
    Some(Operator::Numeric(low, high))
}

/// One value, a list of values of one kind, or a text operator with one text or a list of them.
fn anything_but(operand: &Value) -> Option<Operator> {
    let unwanted: Option<Vec<_>> = match operand {
        Value::Object(nested) => {
            let (name, operand) = only(nested)?;
            let text = |value: &Value| {
                value.as_str().filter(|text| !text.is_empty())?;
                Text::parse(name, value).map(Operator::Text)
            };
            listed(operand).iter().map(text).collect()
        }
        operand => {
            let values = listed(operand);
            let numbers = |value: &Value| value.as_f64().is_some_and(comparable);
            (values.iter().all(Value::is_string) || values.iter().all(numbers))
                .then(|| values.iter().cloned().map(Operator::Equals).collect())
        }
    };
    unwanted
        .filter(|unwanted| !unwanted.is_empty())
        .map(Operator::AnythingBut)
}

/// A list, or the one value as a list.
fn listed(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// A test of a string, as the literal texts between asterisks: the prefix `a` is `["a", ""]`.
#[derive(Debug, Clone)]
pub(super) struct Text {
    literals: Vec<String>,
    /// The literals are in lower case, then.
    ignore_case: bool,
}

impl Text {
    fn parse(name: &str, operand: &Value) -> Option<Self> {
        if let ("prefix" | "suffix", Value::Object(nested)) = (name, operand) {
            let ("equals-ignore-case", Value::String(text)) = only(nested)? else {
                return None;
            };
            let lower = Value::from(text.to_lowercase());
            return Some(Self {
                ignore_case: true,
                ..Self::parse(name, &lower)?
            });
        }
        let text = operand.as_str()?;
        let literals = match name {
            "prefix" => vec![text.to_owned(), String::new()],
            "suffix" => vec![String::new(), text.to_owned()],
            "equals-ignore-case" => vec![text.to_lowercase()],
            "wildcard" => literals(text)?,
            _ => return None,
        };
        Some(Self {
            literals,
            ignore_case: name == "equals-ignore-case",
        })
    }

    /// Whether the literals occur in order, the first at the start and the last at the end.
    fn matches(&self, value: &str) -> bool {
        if self.ignore_case {
            self.occur_in(&value.to_lowercase())
        } else {
            self.occur_in(value)
        }
    }

    fn occur_in(&self, value: &str) -> bool {
        match self.literals.as_slice() {
            [] => value.is_empty(),
            [whole] => value == whole,
            [first, between @ .., last] => {
                let after_first = value.strip_prefix(first.as_str());
                // The leftmost place of each literal leaves the most for the rest.
                let after_between = between.iter().try_fold(after_first, |rest, literal| {
                    rest?
                        .split_once(literal.as_str())
                        .map(|(_, after)| Some(after))
                });
                after_between
                    .flatten()
                    .is_some_and(|rest| rest.ends_with(last.as_str()))
            }
        }
    }
}

/// The literal texts between the asterisks of a wildcard, with `\*` and `\\` undone; `None` where
/// another character is escaped or asterisks follow each other.
fn literals(text: &str) -> Option<Vec<String>> {
    let mut literals = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.peek() == Some(&'*') => return None,
            '*' => literals.push(std::mem::take(&mut literal)),
            '\\' => literal.push(
                characters
                    .next()
                    .filter(|escaped| "*\\".contains(*escaped))?,
            ),
            other => literal.push(other),
        }
    }
    literals.push(literal);
    Some(literals)
}

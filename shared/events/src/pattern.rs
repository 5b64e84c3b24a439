//! EventBridge event patterns: which events a rule selects.
//!
//! A pattern is a JSON object in the shape of the event, with an array of accepted values at each
//! leaf: every field named must match, and a field matches by any value of its array.
//!
//! | in the array | matches |
//! |---|---|
//! | `"text"`, `5`, `true`, `null` | that value; numbers by value, so `300` is `3.0e2` |
//! | `{"prefix": "a"}`, `{"suffix": "a"}` | strings that begin or end so; `{"equals-ignore-case": "a"}` in place of `"a"` ignores case |
//! | `{"equals-ignore-case": "a"}` | strings equal but for case |
//! | `{"wildcard": "a/*/b"}` | strings; `*` is any run of characters, `\*` and `\\` are the characters themselves |
//! | `{"numeric": [">", 0, "<=", 5]}` | numbers from −5e9 to 5e9; operators `=`, `<`, `<=`, `>`, `>=`, or a lower and an upper bound |
//! | `{"exists": true}`, `{"exists": false}` | a leaf that is there, or isn't |
//! | `{"anything-but": x}` | every value there that isn't `x`: a string, a number, a list of either, or a `prefix`, `suffix`, `equals-ignore-case` or `wildcard` with a string or a list |
//! | `"$or": [{…}, {…}]` | in place of a field: either object |
//!
//! The rules for arrays, missing fields and absence are those of AWS's own matcher (Event Ruler):
//!
//! - An array in the event matches if any element does, so `anything-but` matches an array that
//!   holds another value too. Arrays of objects are looked through, and fields of one array must
//!   match within the same element.
//! - A missing field matches only `{"exists": false}`. Empty objects and arrays have no leaves, so
//!   they are missing; `null` is there.
//! - Keys are joined by dots, so `{"a": {"b": …}}` and `{"a.b": …}` are the same field.
//!
//! `cidr` isn't supported and is refused. EventBridge's limit on costly wildcards isn't modelled.

mod operator;
mod parse;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use operator::Operator;

/// The longest pattern the EventBridge API accepts, in bytes of compact JSON.
pub const MAX_BYTES: usize = 4096;

/// The longest pattern an account may use until it asks for more, in bytes of compact JSON.
pub const DEFAULT_QUOTA_BYTES: usize = 2048;

/// A parsed event pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The pattern with every `$or` multiplied out; the event must satisfy one of them.
    alternatives: Vec<Conjunction>,
}

/// Operators by dotted path of the field; all must be satisfied. Sorted, as in AWS's matcher,
/// where the order decides which array element an absent field is looked for in.
type Conjunction = BTreeMap<String, Arc<[Operator]>>;

/// Why a pattern can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event pattern at {path}: {problem}")]
pub struct PatternError {
    /// Where in the pattern, as a JSON path such as `$.detail.bucket.name[0]`.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

impl PatternError {
    fn new(path: &str, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}

impl Pattern {
    /// Reads a pattern. The error names the place in the pattern.
    pub fn parse(pattern: &Value) -> Result<Self, PatternError> {
        parse::alternatives(pattern).map(|alternatives| Self { alternatives })
    }

    /// Whether EventBridge would accept the pattern: [`Self::parse`], and at most `limit` bytes of
    /// compact JSON ([`MAX_BYTES`], or [`DEFAULT_QUOTA_BYTES`] for any account as delivered).
    pub fn validate(pattern: &Value, limit: usize) -> Result<(), PatternError> {
        Self::parse(pattern)?;
        let bytes = pattern.to_string().len();
        if bytes > limit {
            return Err(PatternError::new(
                "$",
                format!("{bytes} bytes of JSON, more than {limit}"),
            ));
        }
        Ok(())
    }

    /// Whether the rule selects the event. Anything but a JSON object is never selected.
    pub fn matches(&self, event: &Value) -> bool {
        if !event.is_object() {
            return false;
        }
        let leaves = Leaves::of(event);
        self.alternatives.iter().any(|fields| {
            let fields: Vec<_> = fields.iter().collect();
            leaves.satisfy(&fields, &Place::default())
        })
    }
}

/// Which element of which array a leaf is in: element index by array number.
type Place = BTreeMap<usize, usize>;

/// The scalar values of an event by dotted path, with their places.
#[derive(Default)]
struct Leaves<'a> {
    by_path: BTreeMap<String, Vec<(&'a Value, Place)>>,
    arrays: usize,
}

impl<'a> Leaves<'a> {
    fn of(event: &'a Value) -> Self {
        let mut leaves = Self::default();
        leaves.collect(event, "", &mut Place::default());
        leaves
    }

    fn collect(&mut self, value: &'a Value, path: &str, place: &mut Place) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.collect(value, &join(path, name), place);
                }
            }
            Value::Array(elements) => {
                let array = self.arrays;
                self.arrays += 1;
                for (index, element) in elements.iter().enumerate() {
                    // Scalars of one array may match together; fields of two objects may not.
                    if element.is_object() || element.is_array() {
                        place.insert(array, index);
                    }
                    self.collect(element, path, place);
                    place.remove(&array);
                }
            }
            scalar => self
                .by_path
                .entry(path.to_owned())
                .or_default()
                .push((scalar, place.clone())),
        }
    }

    /// Whether all fields can be satisfied by leaves that agree with each other about the place.
    fn satisfy(&self, fields: &[(&String, &Arc<[Operator]>)], place: &Place) -> bool {
        let Some(((path, operators), rest)) = fields.split_first() else {
            return true;
        };
        let leaves: Vec<_> = self
            .by_path
            .get(*path)
            .into_iter()
            .flatten()
            .filter_map(|(value, at)| agree(place, at).map(|place| (*value, place)))
            .collect();
        if leaves.is_empty() {
            return operators.iter().any(Operator::matches_absence) && self.satisfy(rest, place);
        }
        // A set, because many elements of one array lead to the same question about the rest.
        let places: BTreeSet<Place> = leaves
            .into_iter()
            .filter(|(value, _)| operators.iter().any(|operator| operator.matches(value)))
            .map(|(_, place)| place)
            .collect();
        places.iter().any(|place| self.satisfy(rest, place))
    }
}

/// Both places as one, if no array is at two elements.
fn agree(place: &Place, other: &Place) -> Option<Place> {
    let mut both = place.clone();
    for (array, element) in other {
        if *both.entry(*array).or_insert(*element) != *element {
            return None;
        }
    }
    Some(both)
}

/// The dotted path of a field.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

//! Finding the required columns in the first line.

use crate::contract::Columns;
use crate::finding::{Example, Findings, Rule, shown, shown_stray};
use crate::row::Role;
use crate::window::Record;

/// What is seen where a carriage return alone ends lines: all of them are one.
pub(crate) const LINE_ENDS: &str = "The lines end with a carriage return (CR) alone.";

/// The columns of a file: how it names them, and what they mean.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) names: Vec<String>,
    pub(crate) roles: Box<[Role]>,
}

impl Header {
    /// Reads the header, which starts in `line`; nothing if a column is missing or ambiguous, which
    /// `findings` then tells.
    pub(crate) fn read(
        record: &Record,
        line: u64,
        columns: &Columns,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut names = Vec::with_capacity(record.len());
        for field in record.fields() {
            match std::str::from_utf8(field) {
                Ok(name) if !name.contains('\0') => names.push(name.trim().to_owned()),
                _ => {
                    let text = shown_stray(&record.joined());
                    let column = None;
                    findings.row(Rule::Encoding, || Example { line, column, text });
                    return None;
                }
            }
        }

        if names.iter().any(|name| name.contains('\r')) {
            findings.file(Rule::LineEnds, LINE_ENDS);
            return None;
        }

        let mut roles = vec![Role::Extra; names.len()].into_boxed_slice();
        let (mut missing, mut ambiguous, mut found) = (Vec::new(), Vec::new(), 0);
        let required = [
            (Role::Date, "date", &columns.date),
            (Role::Store, "store", &columns.store),
            (Role::Item, "item", &columns.item),
            (Role::Sales, "sales", &columns.sales),
        ];
        for (role, what, accepted) in required {
            let mut matching = Vec::new();
            for (name, assigned) in names.iter().zip(&mut roles) {
                if accepted.iter().any(|other| same_name(name, other)) {
                    *assigned = role;
                    matching.push(name.as_str());
                }
            }
            found += matching.len();
            match matching.as_slice() {
                [] => missing.push(format!("{what} (accepted: {})", accepted.join(", "))),
                [_] => {}
                several => ambiguous.push(format!("{what} ({})", several.join(", "))),
            }
        }

        let seen = shown(&record.joined());
        if found == 0 {
            let seen = format!("The first line names none of the columns; it is `{seen}`.");
            findings.file(Rule::NoHeader, &seen);
        } else if !missing.is_empty() {
            let missing = missing.join(", ");
            let seen = format!("No column for {missing}; the header is `{seen}`.");
            findings.file(Rule::MissingColumn, &seen);
        }
        if !ambiguous.is_empty() {
            let ambiguous = ambiguous.join(", ");
            let seen = format!("More than one column for {ambiguous}.");
            findings.file(Rule::AmbiguousColumn, &seen);
        }
        findings.is_empty().then_some(Self { names, roles })
    }

    /// The columns that are not ours, in file order.
    pub(crate) fn extra(&self) -> Vec<String> {
        let columns = self.names.iter().zip(&self.roles);
        columns
            .filter(|(_, role)| **role == Role::Extra)
            .map(|(name, _)| shown(name.as_bytes()))
            .collect()
    }
}

fn same_name(name: &str, accepted: &str) -> bool {
    name.to_lowercase() == accepted.trim().to_lowercase()
}

//! What is wrong with a data set: rules, counts and the first offending rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::contract::Contract;

/// A rule of the contract that a file can break. Findings are listed in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The gzip data is cut off or damaged.
    DamagedGzip,
    /// The content is larger than the contract's `max_bytes`.
    TooLarge,
    /// There is nothing in the file.
    EmptyFile,
    /// Lines end with a carriage return alone.
    LineEnds,
    /// The first line names none of the columns.
    NoHeader,
    /// A required column is not there.
    MissingColumn,
    /// Two columns claim the same role.
    AmbiguousColumn,
    /// A row is longer than 64 KiB; often a quote that is never closed.
    LongRow,
    /// A value holds bytes that are not UTF-8 text.
    Encoding,
    /// A row has more or fewer values than the header has columns.
    FieldCount,
    /// A required value is empty or a spelling of "none".
    MissingValue,
    /// The date is not a real day written `YYYY-MM-DD`.
    InvalidDate,
    /// The date lies before `min_date` or after `max_date`.
    DateOutOfRange,
    /// The date lies after the day of the check.
    DateInFuture,
    /// The store is not a whole number from 1 to 4,294,967,295.
    InvalidStore,
    /// The item is not a whole number from 1 to 4,294,967,295.
    InvalidItem,
    /// The sales are not a finite number.
    InvalidSales,
    /// The sales are below zero.
    NegativeSales,
    /// The sales are above `max_sales`.
    SalesOutOfRange,
    /// A second row for the same date, store and item.
    DuplicateKey,
    /// The exact check for duplicates needs more memory than `max_memory_mib`.
    DuplicatesUnchecked,
    /// More series than `max_series`.
    TooManySeries,
    /// Fewer accepted rows than `min_rows`.
    TooFewRows,
    /// Fewer days from first to last date than `min_history_days`.
    ShortHistory,
    /// The newest date is older than `max_age_days`.
    Stale,
}

/// A broken rule: how often, what it means, what to do, and where to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule that was broken.
    pub rule: Rule,
    /// How many rows (or values) broke it; 1 for a rule about the whole file.
    pub count: u64,
    /// What was wrong and what to do, in a sentence or two.
    pub message: String,
    /// The first offending rows, in file order; empty for a rule about the whole file.
    pub examples: Vec<Example>,
}

/// One offending row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Line in the file, counted from 1; where a quoted row spans lines, its first.
    pub line: u64,
    /// The column's name as the file spells it; none where the whole row is meant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub column: Option<String>,
    /// The offending text: shortened, control characters and stray bytes escaped. Where a byte is
    /// no text, its value and place in the text come first.
    pub text: String,
}

/// Collects findings within bounded memory.
#[derive(Debug)]
pub(crate) struct Findings {
    contract: Contract,
    found: BTreeMap<Rule, Finding>,
}

impl Findings {
    pub(crate) fn new(contract: Contract) -> Self {
        Self {
            contract,
            found: BTreeMap::new(),
        }
    }

    /// A broken rule about the whole file, with what was seen. A repeat counts, and is added.
    pub(crate) fn file(&mut self, rule: Rule, seen: &str) {
        let finding = self.entry(rule);
        finding.count += 1;
        finding.message = format!("{seen} {}", finding.message);
    }

    /// A broken rule in a row; the example is built only when it is kept.
    pub(crate) fn row(&mut self, rule: Rule, example: impl FnOnce() -> Example) {
        let max_examples = self.contract.max_examples;
        let finding = self.entry(rule);
        finding.count += 1;
        if finding.examples.len() < max_examples {
            finding.examples.push(example());
        }
    }

    fn entry(&mut self, rule: Rule) -> &mut Finding {
        let contract = &self.contract;
        self.found.entry(rule).or_insert_with(|| Finding {
            rule,
            count: 0,
            message: advice(rule, contract),
            examples: Vec::new(),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The first finding in the order of the rules.
    pub(crate) fn first(&self) -> Option<&Finding> {
        self.found.values().next()
    }

    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.found.into_values().collect()
    }
}

/// What to do about a broken rule; for rules about rows, what is wrong as well.
fn advice(rule: Rule, contract: &Contract) -> String {
    let text = match rule {
        Rule::DamagedGzip => "Compress the file again and upload it whole.",
        Rule::TooLarge => "Upload less history, or raise `max_bytes` of the contract.",
        Rule::EmptyFile | Rule::NoHeader => {
            "Upload a CSV file whose first line names the columns, such as `date,store,item,sales`."
        }
        Rule::LineEnds => {
            "Save the file with line ends that are LF or CRLF; a CR alone, as old spreadsheets write it, \
             ends no line."
        }
        Rule::MissingColumn => "Add the column, or name its present spelling in the contract.",
        Rule::AmbiguousColumn => "Keep the one column that is meant, or rename the other.",
        Rule::LongRow => "Look for a quote that is never closed, or for missing line ends.",
        Rule::Encoding => {
            "The value holds bytes that are not UTF-8 text (or a NUL). Export the file as plain \
             CSV in UTF-8; a spreadsheet or other binary file is not accepted."
        }
        Rule::FieldCount => {
            "The row has more or fewer values than the header has columns. Look for a missing \
             value, a comma inside a value that is not quoted, or a cut-off line."
        }
        Rule::MissingValue => {
            "A required value is missing. Fill it in, or leave the row out: a day without sales \
             is 0, not empty."
        }
        Rule::InvalidDate => {
            "The date is not a real calendar day of the form YYYY-MM-DD. Write dates like \
             2017-12-31, without a time."
        }
        Rule::DateOutOfRange => {
            let max = contract.max_date.map(|max| format!(" or after {max}"));
            return format!(
                "The date lies before {}{}. Correct it, or change `min_date` or `max_date` of \
                 the contract.",
                contract.min_date,
                max.unwrap_or_default()
            );
        }
        Rule::DateInFuture => {
            "The date lies after the day of the check, so these sales can't have happened yet. \
             Correct the date, or leave out planned sales."
        }
        Rule::InvalidStore => {
            "The store is not a whole number from 1 to 4294967295. Give every store a number \
             (`7`, not `7.0` or `S7`)."
        }
        Rule::InvalidItem => {
            "The item is not a whole number from 1 to 4294967295. Give every item a number (`7`, \
             not `7.0` or `A7`)."
        }
        Rule::InvalidSales => {
            "The sales are not a finite number. Write units sold like `13` or `13.5`, without \
             unit, thousands separator or decimal comma."
        }
        Rule::NegativeSales => {
            "The sales are below zero. Book returns apart from sales; a day with more returns \
             than sales is 0."
        }
        Rule::SalesOutOfRange => {
            return format!(
                "The sales are above {}, the most that one item is expected to sell in one store \
                 on one day. Correct the value, or raise `max_sales` of the contract if it is real.",
                contract.max_sales
            );
        }
        Rule::DuplicateKey => {
            "There is an earlier row for the same date, store and item. Keep one row for each, \
             adding the sales up if both are real."
        }
        Rule::DuplicatesUnchecked => {
            "There are too many series over too long a time to be checked for duplicates. Raise `max_memory_mib` of the contract (and the memory of what checks it), or look \
             for store and item numbers that aren't such."
        }
        Rule::TooManySeries => {
            "Look for store and item numbers that aren't such (each pair of them is a series); or leave out \
             what needs no forecast, or raise `max_series` of the contract."
        }
        Rule::TooFewRows => "Upload the whole data set, or lower `min_rows` of the contract.",
        Rule::ShortHistory => {
            "Upload more history: what is held out for validation must leave enough to learn \
             from; or lower `min_history_days` of the contract."
        }
        Rule::Stale => "Upload newer sales, or raise `max_age_days` of the contract.",
    };
    text.to_owned()
}

const SHOWN_CHARACTERS: usize = 40;

/// Text fit for a report: at most 40 characters, control characters and stray bytes escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut left = SHOWN_CHARACTERS;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if left == 0 {
                return text + "…";
            }
            left -= 1;
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return text + "…";
            }
            left -= 1;
            // Writing to a string can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Which byte of a value keeps it from being text, counted from 1, and the value.
pub(crate) fn shown_stray(bytes: &[u8]) -> String {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    let nul = bytes[..valid].iter().position(|&byte| byte == 0);
    let at = nul.unwrap_or(valid);
    match bytes.get(at) {
        Some(byte) => format!("byte 0x{byte:02x} at {} of {}", at + 1, shown(bytes)),
        None => shown(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offending_text_is_short_and_harmless() {
        assert_eq!(shown(b"12 units"), "12 units");
        assert_eq!(shown(b"a\tb\x1b[31m\0"), "a\\tb\\u{1b}[31m\\u{0}");
        assert_eq!(shown("café".as_bytes()), "café");
        assert_eq!(shown(b"caf\xe9!"), "caf\\xe9!");
        assert_eq!(shown(&[b'x'; 1000]), format!("{}…", "x".repeat(40)));
        assert_eq!(shown(&[b'x'; 40]), "x".repeat(40));
        assert_eq!(shown_stray(b"caf\xe9!"), "byte 0xe9 at 4 of caf\\xe9!");
        assert_eq!(shown_stray(b"a\0\xff"), "byte 0x00 at 2 of a\\u{0}\\xff");
    }

    #[test]
    fn counts_all_and_keeps_the_first() {
        let mut findings = Findings::new(Contract {
            max_examples: 2,
            ..Contract::default()
        });
        for line in 1..=4 {
            let example = || Example {
                line,
                column: None,
                text: String::new(),
            };
            findings.row(Rule::FieldCount, example);
        }
        let found = findings.into_vec();
        assert_eq!((found[0].count, found[0].examples.len()), (4, 2));
        assert_eq!(found[0].examples[1].line, 2);
    }
}

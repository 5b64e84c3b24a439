//! Reading back what the pipeline wrote: rows of a snapshot, and the model's predictions.

use std::io::{BufRead, BufReader, Read};
use std::iter::FusedIterator;

use crate::contract::Contract;
use crate::error::Error;
use crate::finding::Finding;
use crate::row::{Limits, Row};
use crate::table::{Next, Table};

/// Reads a normalised file row by row, in little memory. The first problem ends the iteration with
/// an [`Error::Line`]: data that was accepted once has none.
///
/// # Errors
/// [`Error::Line`] if the header is not that of a data set, [`Error::Read`].
pub fn rows<R: Read>(read: R) -> Result<Rows<R>, Error> {
    let contract = Contract {
        max_bytes: u64::MAX,
        max_examples: 1,
        ..Contract::default()
    };
    let table = Table::open(read, &contract, Limits::NONE).map_err(Error::Read)?;
    match table.findings.first() {
        Some(finding) => Err(line_error(1, finding)),
        None => Ok(Rows { table: Some(table) }),
    }
}

/// The rows of a normalised file; see [`rows`].
pub struct Rows<R> {
    /// None after the end or an error.
    table: Option<Table<R>>,
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let table = self.table.as_mut()?;
        let next = table.next();
        if let Ok(Next::Row(row)) = next {
            return Some(Ok(row));
        }
        let error = match next {
            Err(error) => Some(Error::Read(error)),
            Ok(_) => table
                .findings
                .first()
                .map(|finding| line_error(table.line(), finding)),
        };
        self.table = None;
        error.map(Err)
    }
}

impl<R: Read> FusedIterator for Rows<R> {}

fn line_error(line: u64, finding: &Finding) -> Error {
    let example = finding.examples.first();
    let column = example.and_then(|example| example.column.as_deref());
    let problem = match (column, example) {
        (Some(column), Some(example)) => {
            format!("{column} `{}`: {}", example.text, finding.message)
        }
        (None, Some(example)) => format!("`{}`: {}", example.text, finding.message),
        _ => finding.message.clone(),
    };
    Error::Line { line, problem }
}

/// One answer of the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// The row of the validation file that is predicted, counted from 0.
    pub row_id: u64,
    /// Predicted sales in units; finite.
    pub prediction: f64,
}

/// Longest line of predictions in bytes; a `u64` and an `f64` need at most 46.
const MAX_LINE: u64 = 1024;

/// Reads predictions, header-less lines `row_id,prediction`, one by one. Anything else in a line, an
/// empty one too, is an [`Error::Line`], and ends the iteration; so does a prediction that is NaN or
/// infinite.
pub fn predictions<R: Read>(read: R) -> Predictions<R> {
    Predictions {
        read: Some(BufReader::with_capacity(64 * 1024, read)),
        text: Vec::new(),
        line: 0,
    }
}

/// The predictions in a file; see [`predictions`].
pub struct Predictions<R> {
    /// None after the end or an error.
    read: Option<BufReader<R>>,
    text: Vec<u8>,
    line: u64,
}

impl<R: Read> Predictions<R> {
    fn read_line(&mut self) -> Result<Option<Prediction>, Error> {
        let Some(read) = &mut self.read else {
            return Ok(None);
        };
        self.text.clear();
        self.line += 1;
        let length = read
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.text)
            .map_err(Error::Read)?;
        if length == 0 {
            return Ok(None);
        }
        match parse_prediction(&self.text) {
            Ok(prediction) => Ok(Some(prediction)),
            Err(problem) => Err(Error::Line {
                line: self.line,
                problem: format!("{problem}: `{}`", crate::finding::shown(&self.text)),
            }),
        }
    }
}

impl<R: Read> Iterator for Predictions<R> {
    type Item = Result<Prediction, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read_line();
        if !matches!(next, Ok(Some(_))) {
            self.read = None;
        }
        next.transpose()
    }
}

impl<R: Read> FusedIterator for Predictions<R> {}

fn parse_prediction(line: &[u8]) -> Result<Prediction, &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8 text")?;
    let (row_id, prediction) = line
        .split_once(',')
        .ok_or("expected `row_id,prediction`, found no comma")?;
    let row_id = row_id
        .parse()
        .map_err(|_| "the row id is not a whole number")?;
    let prediction: f64 = prediction
        .parse()
        .map_err(|_| "the prediction is not a number")?;
    if !prediction.is_finite() {
        return Err("the prediction is not finite");
    }
    Ok(Prediction { row_id, prediction })
}

/// Joins the rows of a validation file with their predictions, which must be complete and in order:
/// the n-th prediction has the row id n, counted from 0, and both end together. A difference is an
/// [`Error::Line`] with the line of the predictions, and ends the iteration.
pub fn with_predictions(
    rows: impl IntoIterator<Item = Result<Row, Error>>,
    predictions: impl IntoIterator<Item = Result<Prediction, Error>>,
) -> impl Iterator<Item = Result<(Row, f64), Error>> {
    let (mut rows, mut predictions) = (rows.into_iter(), predictions.into_iter());
    let mut joined = 0;
    let mut next = move || -> Result<Option<(Row, f64)>, Error> {
        let pair = (rows.next().transpose()?, predictions.next().transpose()?);
        let problem = match pair {
            (None, None) => return Ok(None),
            (Some(row), Some(Prediction { row_id, prediction })) if row_id == joined => {
                joined += 1;
                return Ok(Some((row, prediction)));
            }
            (Some(_), Some(Prediction { row_id, .. })) => {
                format!("row id {row_id} where {joined} is due")
            }
            (Some(_), None) => format!("predictions end after {joined} rows; there are more rows"),
            (None, Some(_)) => format!("a prediction too many; there are only {joined} rows"),
        };
        let line = joined + 1;
        Err(Error::Line { line, problem })
    };
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let pair = next();
        ended = !matches!(pair, Ok(Some(_)));
        pair.transpose()
    })
}

#[cfg(test)]
mod tests;

//! From an accepted file to the pipeline's snapshot: normalised training and validation data, and
//! the validation rows without the truth for the model to predict.

use std::io::{BufWriter, Read, Write};

use jiff::civil::Date;

use crate::day::Day;
use crate::error::Error;
use crate::report::Report;
use crate::row::{Limits, Row};
use crate::table::{Next, Table};

/// Header of the normalised files.
pub const HEADER: &str = "date,store,item,sales";

/// Which rows are kept from training, to judge the model by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holdout {
    /// The last days of the file, counted back from its newest date.
    LastDays(u32),
    /// No rows: the file is for training, and validation data comes in a file of its own.
    None,
    /// All rows: the file is that validation file.
    All,
}

impl Default for Holdout {
    /// The last 92 days: a quarter of a year.
    fn default() -> Self {
        Self::LastDays(92)
    }
}

/// Where the parts of a snapshot go. They are flushed, not closed.
pub struct Outputs<'a> {
    /// Rows to train on: CSV with the header [`HEADER`].
    pub train: &'a mut dyn Write,
    /// Rows held out: CSV with the header [`HEADER`].
    pub validation: &'a mut dyn Write,
    /// The same rows in the same order without the truth: CSV without header,
    /// `row_id,store,item,date`, where `row_id` counts the rows of the validation file from 0.
    pub features: &'a mut dyn Write,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Rows to train on.
    pub train_rows: u64,
    /// Rows held out.
    pub validation_rows: u64,
    /// First date held out, if the file was cut.
    pub cut: Option<Date>,
}

/// Reads the file of `report` again and writes it as a snapshot. Row order is kept; numbers are
/// written in their shortest form (`13.50` becomes `13.5`), columns the contract doesn't name are
/// left out. An output without rows still gets its header.
///
/// # Errors
/// - [`Error::Rejected`] if the report is not an acceptance;
/// - [`Error::NothingLeft`] if the holdout covers the whole history;
/// - [`Error::Changed`] if the content is not the one that was checked, which is only known at the
///   end: throw away what was written;
/// - [`Error::Read`] and [`Error::Write`].
pub fn split(
    read: impl Read,
    report: &Report,
    holdout: Holdout,
    outputs: Outputs<'_>,
) -> Result<Split, Error> {
    let (true, Some(digest), Some(to)) = (report.is_accepted(), &report.digest, report.to) else {
        return Err(Error::Rejected);
    };
    let cut = match holdout {
        Holdout::LastDays(days) if days >= report.history_days => {
            return Err(Error::NothingLeft {
                holdout_days: days,
                history_days: report.history_days,
            });
        }
        Holdout::LastDays(days) => Day::from(to).plus(1).plus(-days.cast_signed()),
        Holdout::None => Day::MAX,
        Holdout::All => Day::MIN,
    };

    let limits = Limits::of(&report.contract, report.as_of);
    let mut table = Table::open(read, &report.contract, limits).map_err(Error::Read)?;
    let mut train = RowWriter::new(outputs.train)?;
    let mut validation = RowWriter::new(outputs.validation)?;
    let mut features = BufWriter::new(outputs.features);
    let mut line = Vec::new();
    loop {
        match table.next().map_err(Error::Read)? {
            Next::Row(row) if row.day < cut => train.write(&row)?,
            Next::Row(row) => {
                line.clear();
                push(&mut line, validation.rows);
                line.push(b',');
                push(&mut line, row.store);
                line.push(b',');
                push(&mut line, row.item);
                line.push(b',');
                line.extend_from_slice(validation.date(row.day));
                line.push(b'\n');
                features.write_all(&line).map_err(Error::Write)?;
                validation.write(&row)?;
            }
            // Not the file that was accepted: the digest will tell.
            Next::Rejected => {}
            Next::End => break,
        }
    }
    let found = table.finish().map_err(Error::Read)?.digest;
    if found.as_ref() != Some(digest) {
        return Err(Error::Changed {
            expected: digest.clone(),
            found: found.unwrap_or_else(|| "none".to_owned()),
        });
    }
    features.flush().map_err(Error::Write)?;
    Ok(Split {
        train_rows: train.finish()?,
        validation_rows: validation.finish()?,
        cut: matches!(holdout, Holdout::LastDays(_)).then(|| cut.date()),
    })
}

/// Writes rows in the normalised form.
pub struct RowWriter<W: Write> {
    write: BufWriter<W>,
    line: Vec<u8>,
    /// The date written last, as text: dates come in runs.
    day: Day,
    date: Vec<u8>,
    rows: u64,
}

impl<W: Write> RowWriter<W> {
    /// Starts a file with its header.
    pub fn new(write: W) -> Result<Self, Error> {
        let mut write = BufWriter::with_capacity(64 * 1024, write);
        writeln!(write, "{HEADER}").map_err(Error::Write)?;
        Ok(Self {
            write,
            line: Vec::new(),
            day: Day::MIN,
            date: Vec::new(),
            rows: 0,
        })
    }

    /// Appends a row.
    pub fn write(&mut self, row: &Row) -> Result<(), Error> {
        self.date(row.day);
        self.line.clear();
        self.line.extend_from_slice(&self.date);
        self.line.push(b',');
        push(&mut self.line, row.store);
        self.line.push(b',');
        push(&mut self.line, row.item);
        self.line.push(b',');
        push_sales(&mut self.line, row.sales);
        self.line.push(b'\n');
        self.rows += 1;
        self.write.write_all(&self.line).map_err(Error::Write)
    }

    /// Flushes, and tells how many rows were written.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.write.flush().map_err(Error::Write)?;
        Ok(self.rows)
    }

    fn date(&mut self, day: Day) -> &[u8] {
        if day != self.day {
            self.day = day;
            self.date = day.to_string().into_bytes();
        }
        &self.date
    }
}

fn push(line: &mut Vec<u8>, number: impl itoa::Integer) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The shortest text that reads back as the same number; most sales are whole.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_cmp,
    reason = "the cast saturates, and what it changes is not taken"
)]
fn push_sales(line: &mut Vec<u8>, sales: f64) {
    let whole = sales as u32;
    if f64::from(whole) == sales {
        push(line, whole);
    } else {
        line.extend_from_slice(sales.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests;

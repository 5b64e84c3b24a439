//! A data set as a stream of rows, with the findings gathered on the way.

use std::io::{self, Read};

use crate::content::{Content, Stop};
use crate::contract::Contract;
use crate::finding::{Example, Findings, Rule, shown, shown_stray};
use crate::header::{Header, LINE_ENDS};
use crate::row::{Limits, Row, RowParser};
use crate::window::{MAX_ROW, Quoting, Record, Records, Window};

/// Bytes in memory at a time: large enough for few reads, small enough to stay in the cache.
const WINDOW: usize = 256 * 1024;

/// What comes next in the file.
pub(crate) enum Next {
    /// A row in which nothing is wrong.
    Row(Row),
    /// A row with findings.
    Rejected,
    /// The end of the file, or of what can be read of it.
    End,
}

/// A file whose header has been read.
pub(crate) struct Table<R> {
    window: Window<R>,
    records: Records,
    record: Record,
    header: Option<Header>,
    /// Reads the rows; none when there are no more.
    parser: Option<RowParser>,
    /// Whether the content can't be read to its end.
    broken: bool,
    max_bytes: u64,
    /// The line that the current row starts in.
    line: u64,
    /// Rows so far, rejected ones among them.
    rows: u64,
    pub(crate) findings: Findings,
}

/// What is known of a file once it was read.
pub(crate) struct Facts {
    /// SHA-256 of the content; none when it couldn't be read to its end.
    pub(crate) digest: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) gzip: bool,
    pub(crate) rows: u64,
    pub(crate) extra_columns: Vec<String>,
    /// Whether the header was sound, so that the rows could be judged.
    pub(crate) has_header: bool,
    pub(crate) findings: Findings,
}

impl<R: Read> Table<R> {
    /// Opens a file. What is wrong with it becomes a finding; only a failing source is an error.
    pub(crate) fn open(read: R, contract: &Contract, limits: Limits) -> io::Result<Self> {
        Self::open_with(read, contract, limits, Quoting::WhereSeen, WINDOW)
    }

    pub(crate) fn open_with(
        read: R,
        contract: &Contract,
        limits: Limits,
        quoting: Quoting,
        window: usize,
    ) -> io::Result<Self> {
        let content = Content::open(read, contract.max_bytes)?;
        let mut table = Self {
            window: Window::new(content, window),
            records: Records::new(quoting),
            record: Record::default(),
            header: None,
            parser: None,
            broken: false,
            max_bytes: contract.max_bytes,
            line: 0,
            rows: 0,
            findings: Findings::new(contract.clone()),
        };
        let first = table
            .window
            .skip_byte_order_mark()
            .and_then(|()| table.records.read(&mut table.window, &mut table.record));
        match first {
            Ok(Some(line)) => {
                let (record, findings) = (&table.record, &mut table.findings);
                table.header = Header::read(record, line, &contract.columns, findings);
                let header = table.header.as_ref();
                table.parser = header.map(|header| RowParser::new(header.roles.clone(), limits));
            }
            Ok(None) => table
                .findings
                .file(Rule::EmptyFile, "There is nothing in the file."),
            Err(stop) => table.stop(stop)?,
        }
        Ok(table)
    }

    /// The next row.
    #[inline]
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        if let Some(parser) = &mut self.parser
            && self.records.may_skip()
            && let Some((row, length)) = parser.plain(self.window.unread())
        {
            self.window.consume(length);
            self.line = self.records.line;
            self.records.line += 1;
            self.rows += 1;
            return Ok(Next::Row(row));
        }
        self.next_with_care()
    }

    fn next_with_care(&mut self) -> io::Result<Next> {
        let (Some(parser), Some(header)) = (&mut self.parser, &self.header) else {
            return Ok(Next::End);
        };
        match self.records.read(&mut self.window, &mut self.record) {
            Ok(Some(line)) => self.line = line,
            Ok(None) => {
                self.parser = None;
                return Ok(Next::End);
            }
            Err(stop) => {
                self.stop(stop)?;
                return Ok(Next::End);
            }
        }
        self.rows += 1;
        let (line, record) = (self.line, &self.record);
        if record.len() != header.names.len() {
            self.findings.row(Rule::FieldCount, || Example {
                line,
                column: None,
                text: format!("{} values: {}", record.len(), shown(&record.joined())),
            });
            return Ok(Next::Rejected);
        }
        let row = parser.careful(record.fields(), |column, text, rule| {
            self.findings.row(rule, || Example {
                line,
                column: Some(shown(header.names[column].as_bytes())),
                text: match rule {
                    Rule::Encoding => shown_stray(text),
                    _ => shown(text),
                },
            });
        });
        Ok(row.map_or(Next::Rejected, Next::Row))
    }

    /// A finding about the current row as a whole.
    pub(crate) fn reject(&mut self, rule: Rule, text: impl FnOnce() -> String) {
        let line = self.line;
        self.findings.row(rule, || Example {
            line,
            column: None,
            text: text(),
        });
    }

    /// The line of the current row.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    fn stop(&mut self, stop: Stop) -> io::Result<()> {
        self.parser = None;
        match stop {
            Stop::Source(error) => return Err(error),
            Stop::Damaged(why) => {
                self.broken = true;
                let seen = format!("The gzip data can't be read to its end: {why}.");
                self.findings.file(Rule::DamagedGzip, &seen);
            }
            Stop::TooLarge => {
                self.broken = true;
                let seen = format!("The content is larger than {} bytes.", self.max_bytes);
                self.findings.file(Rule::TooLarge, &seen);
            }
            Stop::LongRow(_) if self.window.has_only_carriage_returns() => {
                self.findings.file(Rule::LineEnds, LINE_ENDS);
            }
            Stop::LongRow(line) => {
                self.line = line;
                self.reject(Rule::LongRow, || format!("more than {MAX_ROW} bytes"));
            }
        }
        Ok(())
    }

    /// Reads what is left, for the identity of the whole content.
    pub(crate) fn finish(mut self) -> io::Result<Facts> {
        if !self.broken
            && let Err(stop) = self.window.drain()
        {
            self.stop(stop)?;
        }
        let content = &self.window.content;
        Ok(Facts {
            digest: (!self.broken).then(|| content.digest()),
            bytes: content.length(),
            gzip: content.is_gzip(),
            rows: self.rows,
            extra_columns: self.header.as_ref().map(Header::extra).unwrap_or_default(),
            has_header: self.header.is_some(),
            findings: self.findings,
        })
    }
}

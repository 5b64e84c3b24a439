//! A sliding window over the content, and single records cut out of it.

use std::io::Read;

use crate::content::{Content, Stop};

/// Longest row in bytes, without its line end. What is longer is no row of sales.
pub(crate) const MAX_ROW: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The part of the content that is in memory.
pub(crate) struct Window<R> {
    pub(crate) content: Content<R>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: Read> Window<R> {
    /// A window of `capacity` bytes, at least twice the longest row.
    pub(crate) fn new(content: Content<R>, capacity: usize) -> Self {
        Self {
            content,
            buffer: vec![0; capacity.max(2 * MAX_ROW)].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Moves past a byte order mark at the start of the content.
    pub(crate) fn skip_byte_order_mark(&mut self) -> Result<(), Stop> {
        while self.unread().len() < BYTE_ORDER_MARK.len() && self.fill()? {}
        if self.unread().starts_with(BYTE_ORDER_MARK) {
            self.consume(BYTE_ORDER_MARK.len());
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    #[inline]
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Whether what is unread has line ends of an old kind and no other.
    pub(crate) fn has_only_carriage_returns(&self) -> bool {
        let has = |end| self.unread().contains(&end);
        has(b'\r') && !has(b'\n')
    }

    /// Reads more behind what is unread; false at the end of the content or when there is no room.
    pub(crate) fn fill(&mut self) -> Result<bool, Stop> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read = self.content.read(&mut self.buffer[self.end..])?;
        self.end += read;
        Ok(read > 0)
    }

    /// Reads the rest of the content without looking at it.
    pub(crate) fn drain(&mut self) -> Result<(), Stop> {
        self.start = self.end;
        while self.fill()? {
            self.start = self.end;
        }
        Ok(())
    }
}

/// The fields of one record, unquoted, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(from, &to)| &self.text[from..to])
    }

    /// All text of the record with its fields set apart again, for messages.
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.fields().collect::<Vec<_>>().join(&b',')
    }

    fn split(&mut self, line: &[u8]) {
        self.text.clear();
        self.ends.clear();
        for field in line.split(|&byte| byte == b',') {
            self.text.extend_from_slice(field);
            self.ends.push(self.text.len());
        }
    }

    /// Whether there is nothing in it: an empty line.
    fn is_blank(&self) -> bool {
        self.ends.len() == 1 && self.text.is_empty()
    }

    /// Takes the carriage return of a CRLF line end off the last field.
    fn trim_carriage_return(&mut self) {
        let fields = self.ends.len();
        let last_start = if fields < 2 { 0 } else { self.ends[fields - 2] };
        if self.text.len() > last_start && self.text.last() == Some(&b'\r') {
            self.text.pop();
            if let Some(end) = self.ends.last_mut() {
                *end -= 1;
            }
        }
    }
}

/// How records are cut out of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// A record is read with quotes only if its line has one.
    WhereSeen,
    /// Every record is read with quotes: the reference that the quick ways are tested against.
    #[cfg(test)]
    Everywhere,
}

/// Cuts records out of a window, counting lines. Lines end with LF or CRLF; empty lines are skipped.
pub(crate) struct Records {
    quoting: Quoting,
    quoted: csv_core::Reader,
    /// Room for the parser of quoted records, made when the first quote appears.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// The line that the next record starts in, counted from 1.
    pub(crate) line: u64,
}

impl Records {
    pub(crate) fn new(quoting: Quoting) -> Self {
        let mut quoted = csv_core::ReaderBuilder::new()
            .terminator(csv_core::Terminator::Any(b'\n'))
            .build();
        // The parser drops a byte order mark from the first bytes it sees. Those of a file have been
        // dealt with, so an empty line goes first.
        quoted.read_record(b"\n", &mut [0], &mut [0]);
        Self {
            quoting,
            quoted,
            text: Vec::new(),
            ends: Vec::new(),
            line: 1,
        }
    }

    /// Reads the next record into `record`. Returns the line it starts in, or nothing at the end.
    pub(crate) fn read<R: Read>(
        &mut self,
        window: &mut Window<R>,
        record: &mut Record,
    ) -> Result<Option<u64>, Stop> {
        loop {
            let end = loop {
                let unread = window.unread();
                let end = unread.iter().position(|&byte| byte == b'\n');
                if end.is_some() || unread.len() > MAX_ROW || !window.fill()? {
                    break end;
                }
            };
            let unread = window.unread();
            if unread.is_empty() {
                return Ok(None);
            }
            let length = end.unwrap_or(unread.len());
            if length > MAX_ROW {
                return Err(Stop::LongRow(self.line));
            }
            let started = self.line;
            let line = &unread[..length];
            if !line.is_empty() && line != b"\r" && self.is_quoted(line) {
                self.read_quoted(window, record)?;
            } else {
                record.split(line);
                window.consume(length + usize::from(end.is_some()));
                self.line += 1;
            }
            record.trim_carriage_return();
            if !record.is_blank() {
                return Ok(Some(started));
            }
        }
    }

    /// Whether rows may be read without cutting records out first.
    #[inline]
    pub(crate) fn may_skip(&self) -> bool {
        self.quoting == Quoting::WhereSeen
    }

    fn is_quoted(&self, line: &[u8]) -> bool {
        match self.quoting {
            Quoting::WhereSeen => line.contains(&b'"'),
            #[cfg(test)]
            Quoting::Everywhere => true,
        }
    }

    fn read_quoted<R: Read>(
        &mut self,
        window: &mut Window<R>,
        record: &mut Record,
    ) -> Result<(), Stop> {
        let (started, lines_before) = (self.line, self.quoted.line());
        self.text.resize(MAX_ROW + 1, 0);
        self.ends.resize(self.ends.len().max(64), 0);
        let (mut consumed, mut written, mut fields) = (0, 0, 0);
        loop {
            let unread = window.unread();
            let (result, read, text, ends) = self.quoted.read_record(
                unread,
                &mut self.text[written..],
                &mut self.ends[fields..],
            );
            let line_end = usize::from(unread[..read].ends_with(b"\n"));
            window.consume(read);
            consumed += read;
            written += text;
            fields += ends;
            match result {
                csv_core::ReadRecordResult::Record if consumed - line_end <= MAX_ROW => break,
                csv_core::ReadRecordResult::InputEmpty if consumed <= MAX_ROW => {
                    window.fill()?;
                }
                csv_core::ReadRecordResult::OutputEndsFull => {
                    self.ends.resize(2 * self.ends.len(), 0);
                }
                csv_core::ReadRecordResult::End => break,
                _ => return Err(Stop::LongRow(started)),
            }
        }
        self.line += self.quoted.line() - lines_before;
        record.text.clear();
        record.text.extend_from_slice(&self.text[..written]);
        record.ends.clear();
        record.ends.extend_from_slice(&self.ends[..fields]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, quoting: Quoting) -> Vec<(u64, Vec<String>)> {
        let content = Content::open(text.as_bytes(), u64::MAX).unwrap();
        let mut window = Window::new(content, 0);
        assert!(window.skip_byte_order_mark().is_ok());
        let mut records = Records::new(quoting);
        let (mut record, mut all) = (Record::default(), Vec::new());
        while let Ok(Some(line)) = records.read(&mut window, &mut record) {
            let fields = record
                .fields()
                .map(|field| String::from_utf8_lossy(field).into_owned());
            all.push((line, fields.collect()));
        }
        all
    }

    #[test]
    fn lines_are_cut_counted_and_unquoted() {
        let text = "\u{feff}a,b\r\n\r\n\u{feff}\"1\",2\n\n\"3\n4\",\"5\"\"\"\r\n6,\n,\n7";
        let expected: Vec<(u64, Vec<String>)> = [
            (1, vec!["a", "b"]),
            (3, vec!["\u{feff}\"1\"", "2"]),
            (5, vec!["3\n4", "5\""]),
            (7, vec!["6", ""]),
            (8, vec!["", ""]),
            (9, vec!["7"]),
        ]
        .into_iter()
        .map(|(line, fields)| (line, fields.iter().map(ToString::to_string).collect()))
        .collect();
        assert_eq!(records(text, Quoting::WhereSeen), expected);
        assert_eq!(records(text, Quoting::Everywhere), expected);
    }

    #[test]
    fn the_longest_row_is_the_same_with_and_without_quotes() {
        for quoting in [Quoting::WhereSeen, Quoting::Everywhere] {
            for end in ["", "\n"] {
                let longest = format!("{}{end}", "x".repeat(MAX_ROW));
                assert_eq!(records(&longest, quoting).len(), 1, "{quoting:?} {end:?}");
                assert!(records(&format!("x{longest}"), quoting).is_empty());
                let open = format!("a\n\"{longest}");
                assert_eq!(records(&open, quoting).len(), 1);
            }
        }
        let many = ",".repeat(1000);
        assert_eq!(records(&many, Quoting::Everywhere)[0].1.len(), 1001);
    }
}

//! Sales records, and the CSV channels they are read from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar::Day;

/// Which series a value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Store id.
    pub store: u32,
    /// Item id.
    pub item: u32,
}

/// Units of one item sold by one store on one day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sale {
    /// The series.
    pub key: Key,
    /// The day.
    pub day: Day,
    /// Units sold, never negative.
    pub units: f32,
}

/// Sales records in the order they were read, and where each came from.
#[derive(Debug, Default)]
pub struct Table {
    /// The records.
    pub rows: Vec<Sale>,
    files: BTreeMap<usize, String>,
}

impl Table {
    /// Records that came from no file.
    pub fn new(rows: Vec<Sale>) -> Self {
        Self {
            rows,
            files: BTreeMap::new(),
        }
    }

    /// Where row `index` came from, for messages about it.
    pub fn source(&self, index: usize) -> String {
        match self.files.range(..=index).next_back() {
            Some((first, file)) => format!("{file}, data row {}", index - first + 1),
            None => format!("data row {}", index + 1),
        }
    }

    /// Reads every CSV file (`.gz` files are unpacked) below `folder`, in the order of their names.
    /// Empty files and those whose name begins with a dot are passed over.
    ///
    /// # Errors
    ///
    /// A missing folder, a folder without a record, or the first bad record, with its file, line and
    /// column.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        list(folder, &mut paths)?;
        paths.sort();
        let channel = folder.file_name().map_or(folder, Path::new);
        let mut table = Self::default();
        for path in paths {
            let name = channel.join(path.strip_prefix(folder).unwrap_or(&path));
            let name = name.display().to_string();
            table.files.insert(table.rows.len(), name.clone());
            let file = BufReader::new(File::open(&path).with_context(|| name.clone())?);
            if path.extension().is_some_and(|e| e == "gz") {
                table.append(MultiGzDecoder::new(file), &name)?;
            } else {
                table.append(file, &name)?;
            }
        }
        if table.rows.is_empty() {
            bail!("channel `{}` holds no sales record", channel.display());
        }
        Ok(table)
    }

    /// Reads one CSV text with a header; `name` stands in error messages.
    ///
    /// # Errors
    ///
    /// A missing column, or the first bad record.
    pub fn append(&mut self, text: impl Read, name: &str) -> Result<()> {
        let mut reader = ReaderBuilder::new()
            .buffer_capacity(1 << 18)
            .from_reader(text);
        let header = reader.byte_headers().with_context(|| name.to_owned())?;
        let columns = Columns::find(header).with_context(|| format!("{name}, line 1"))?;
        let mut record = ByteRecord::new();
        while reader
            .read_byte_record(&mut record)
            .with_context(|| name.to_owned())?
        {
            let sale = columns.parse(&record).with_context(|| {
                let line = record.position().map_or(0, csv::Position::line);
                format!("{name}, line {line}")
            })?;
            self.rows.push(sale);
        }
        Ok(())
    }
}

/// Writes records as the training CSV: header `date,store,item,sales`, one line for each record.
///
/// # Errors
///
/// What the writer reports.
pub fn write_csv<'a>(
    rows: impl IntoIterator<Item = &'a Sale>,
    mut out: impl std::io::Write,
) -> std::io::Result<()> {
    writeln!(out, "date,store,item,sales")?;
    for sale in rows {
        let Key { store, item } = sale.key;
        writeln!(
            out,
            "{},{store},{item},{}",
            Date::from(sale.day),
            sale.units
        )?;
    }
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("channel {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let metadata = std::fs::metadata(entry.path())?;
        if metadata.is_dir() {
            list(&entry.path(), files)?;
        } else if metadata.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Where each value stands in a record.
struct Columns {
    date: usize,
    store: usize,
    item: usize,
    units: usize,
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self> {
        let names: Vec<String> = header
            .iter()
            .map(|name| {
                String::from_utf8_lossy(name)
                    .trim_start_matches('\u{feff}')
                    .trim()
                    .to_ascii_lowercase()
            })
            .collect();
        let find = |wanted: &[&str]| {
            let mut found = names
                .iter()
                .enumerate()
                .filter(|(_, n)| wanted.contains(&n.as_str()));
            match (found.next(), found.next()) {
                (Some((at, _)), None) => Ok(at),
                (Some(_), Some(_)) => {
                    bail!("column `{}` stands there twice", wanted.join("` or `"))
                }
                (None, _) => bail!(
                    "column `{}` is missing (the header is `{}`)",
                    wanted.join("` or `"),
                    names.join(",")
                ),
            }
        };
        Ok(Self {
            date: find(&["date"])?,
            store: find(&["store", "store_id"])?,
            item: find(&["item", "item_id"])?,
            units: find(&["sales", "target"])?,
        })
    }

    fn parse(&self, record: &ByteRecord) -> Result<Sale> {
        let text = |at: usize| {
            let bytes = record.get(at).unwrap_or_default();
            std::str::from_utf8(bytes).unwrap_or("\u{fffd}").trim()
        };
        let date = text(self.date);
        let units = text(self.units);
        Ok(Sale {
            key: Key {
                store: parse_id("store", text(self.store))?,
                item: parse_id("item", text(self.item))?,
            },
            day: parse_day(date)?,
            units: units
                .parse::<f32>()
                .ok()
                .filter(|value| value.is_finite() && *value >= 0.0)
                .ok_or_else(|| anyhow!("sales: `{units}` is not a number of units"))?,
        })
    }
}

/// Reads a store or item id; `field` stands in the error.
///
/// # Errors
///
/// Text that is no whole number from 0 to 4,294,967,295.
pub fn parse_id(field: &str, text: &str) -> Result<u32> {
    text.parse().map_err(|_| {
        anyhow!(
            "{field}: `{text}` is not a whole number from 0 to {}",
            u32::MAX
        )
    })
}

/// Reads an ISO date.
///
/// # Errors
///
/// Text that is no calendar date written `YYYY-MM-DD`.
pub fn parse_day(text: &str) -> Result<Day> {
    let iso = text.len() == 10 && text.is_ascii() && !text.contains('T');
    match text.parse::<Date>() {
        Ok(date) if iso => Ok(date.into()),
        _ => bail!("date: `{text}` is not a date written YYYY-MM-DD"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Sale>> {
        let mut table = Table::default();
        table.append(text.as_bytes(), "train/sales.csv")?;
        Ok(table.rows)
    }

    #[test]
    fn columns_stand_in_any_order_under_either_name() {
        let plain = read("date,store,item,sales\n2017-01-02,3,4,5\n").unwrap();
        let other =
            read("\u{feff}Target, item_id,price,store_id,date\r\n5.0,4,9.9,3,2017-01-02\r\n")
                .unwrap();
        assert_eq!(plain, other);
        assert_eq!(plain[0].key, Key { store: 3, item: 4 });
    }

    #[test]
    fn a_bad_record_is_named_by_file_line_and_column() {
        for (text, wanted) in [
            (
                "date,store,item\n",
                "train/sales.csv, line 1: column `sales` or `target` is missing",
            ),
            (
                "date,store,store_id,item,sales\n",
                "line 1: column `store` or `store_id` stands there twice",
            ),
            (
                "date,store,item,sales\n2017-01-02,1,1,1\n2017-02-30,1,1,1\n",
                "line 3: date: `2017-02-30` is not",
            ),
            (
                "date,store,item,sales\n20170102,1,1,1\n",
                "line 2: date: `20170102` is not",
            ),
            (
                "date,store,item,sales\n2017-01-02,x,1,1\n",
                "line 2: store: `x` is not",
            ),
            (
                "date,store,item,sales\n2017-01-02,1,-1,1\n",
                "line 2: item: `-1` is not",
            ),
            (
                "date,store,item,sales\n2017-01-02,1,1,\n",
                "line 2: sales: `` is not",
            ),
            (
                "date,store,item,sales\n2017-01-02,1,1,NaN\n",
                "line 2: sales: `NaN` is not",
            ),
            (
                "date,store,item,sales\n2017-01-02,1,1,-2\n",
                "line 2: sales: `-2` is not",
            ),
            (
                "date,store,item,sales\n2017-01-02,1\n",
                "train/sales.csv: CSV error: record 1 (line: 2",
            ),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_folder_is_read_whole_and_rows_know_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("part")).unwrap();
        std::fs::write(at("a.csv"), "date,store,item,sales\n2017-01-01,1,1,1\n").unwrap();
        std::fs::write(
            at("part/b.csv"),
            "store,date,item,sales\n1,2017-01-02,1,2\n",
        )
        .unwrap();
        std::fs::write(at(".hidden"), "x").unwrap();
        std::fs::write(at("empty.csv"), "").unwrap();
        let table = Table::read(folder.path()).unwrap();
        assert_eq!(
            table.rows.iter().map(|s| s.units).collect::<Vec<_>>(),
            [1.0, 2.0]
        );
        assert!(
            table.source(1).ends_with("part/b.csv, data row 1"),
            "{}",
            table.source(1)
        );
        assert!(Table::read(&at("absent")).is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let rows = read("date,store,item,sales\n2017-01-02,3,4,5\n2017-01-03,3,4,0.25\n").unwrap();
        let mut text = Vec::new();
        write_csv(&rows, &mut text).unwrap();
        assert_eq!(read(std::str::from_utf8(&text).unwrap()).unwrap(), rows);
    }
}

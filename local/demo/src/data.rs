//! The data that the demonstration uploads: generated and saying so, or a given file.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context as _, bail};
use flate2::read::MultiGzDecoder;
use jiff::{ToSpan, civil::Date};
use model::generate::Synthetic;
use serde_json::Value;

/// Days that the second upload has more than the first.
const MORE_DAYS: i64 = 60;

/// What is uploaded, scene by scene.
pub(crate) struct Uploads {
    /// Where the data comes from, in words.
    pub(crate) origin: String,
    /// All but the last days.
    pub(crate) first: String,
    /// What of the data is uploaded when, in words.
    pub(crate) cut: String,
    /// Everything.
    pub(crate) second: String,
    /// A file without its sales column.
    pub(crate) without_column: String,
    /// A file with a negative sale and a repeated key.
    pub(crate) with_bad_rows: String,
    /// A series and a day to predict.
    pub(crate) question: Question,
}

/// The least that `validate-dataset` accepts, as it is deployed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least {
    rows: usize,
    /// From the first date to the last.
    days: i64,
}

impl Least {
    /// Reads the settings of the project.
    pub(crate) fn read(project_root: &Path) -> anyhow::Result<Self> {
        let path = project_root.join("infra/functions.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let file: Value =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let environment = &file["functions"]["validate-dataset"]["environment"];
        let setting = |name: &str| {
            let value = environment[name].as_str();
            value.with_context(|| format!("{} has no {name}", path.display()))
        };
        Ok(Self {
            rows: setting("MIN_ROWS")?.parse().context("MIN_ROWS")?,
            days: setting("MIN_HISTORY_DAYS")?
                .parse()
                .context("MIN_HISTORY_DAYS")?,
        })
    }
}

/// What the demonstration asks the deployed service.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) store: String,
    pub(crate) item: String,
    pub(crate) date: Date,
}

impl Uploads {
    /// Five stores, ten items, two years and two months of them: made up from a seed.
    pub(crate) fn generated(least: &Least) -> anyhow::Result<Self> {
        let synthetic = Synthetic {
            days: 800,
            ..Synthetic::default()
        };
        let mut text = String::from("date,store,item,sales\n");
        for sale in synthetic.rows() {
            writeln!(
                text,
                "{},{},{},{}",
                Date::from(sale.day),
                sale.key.store,
                sale.key.item,
                sale.units
            )?;
        }
        let origin = format!(
            "GENERATED data (seed {}): {} stores x {} items x {} days; no observations of any shop",
            synthetic.seed, synthetic.stores, synthetic.items, synthetic.days
        );
        Self::split(origin, text, least)
    }

    /// A CSV file, plain or gzip, with a `date` column.
    pub(crate) fn read(path: &Path, least: &Least) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("--data {}", path.display()))?;
        let mut reader = BufReader::new(file);
        let mut text = String::new();
        let start = reader.fill_buf();
        let start = start.with_context(|| format!("--data {}", path.display()))?;
        let is_gzip = start.starts_with(&[0x1f, 0x8b]);
        let read = if is_gzip {
            MultiGzDecoder::new(reader).read_to_string(&mut text)
        } else {
            reader.read_to_string(&mut text)
        };
        read.with_context(|| format!("--data {}: not UTF-8 text, plain or gzip", path.display()))?;
        let origin = format!(
            "{}: {} rows",
            path.display(),
            text.lines().count().saturating_sub(1)
        );
        Self::split(origin, text, least)
            .with_context(|| format!("--data {} can't be shown", path.display()))
    }

    fn split(origin: String, text: String, least: &Least) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let header = lines.next().context("the data is empty")?;
        let columns = Columns::of(header)?;
        let dates = || lines.clone().filter_map(|line| columns.date(line));
        let oldest = dates().min().context("no row has a date like 2017-12-31")?;
        let newest = dates().max().unwrap_or(oldest);
        let cut = newest.checked_sub(MORE_DAYS.days())?;
        let mut first = format!("{header}\n");
        let mut rows = 0;
        for line in lines
            .clone()
            .filter(|line| columns.date(line).is_none_or(|date| date <= cut))
        {
            first.push_str(line);
            first.push('\n');
            rows += 1;
        }
        let days = |to: Date| i64::from((to - oldest).get_days()) + 1;
        if days(cut) < least.days || rows < least.rows {
            bail!(
                "it has {} days of sales, {oldest} to {newest}. Scene 1 uploads all but the last {MORE_DAYS} days, \
                 for scene 2 to have more data: of {rows} rows over {} days then. A first upload needs {} rows \
                 over {} days (MIN_ROWS and MIN_HISTORY_DAYS in infra/functions.json), so give a file of {} days \
                 or more",
                days(newest),
                days(cut).max(0),
                least.rows,
                least.days,
                least.days + MORE_DAYS
            );
        }
        let sample: Vec<&str> = lines.take(400).collect();
        let row = sample
            .first()
            .context("the data has a header and no rows")?;
        let question = Question {
            store: field(row, columns.store).to_owned(),
            item: field(row, columns.item).to_owned(),
            date: newest.checked_add(30.days())?,
        };
        Ok(Self {
            origin,
            first,
            cut: format!(
                "scene 1 has {rows} rows to {cut}; the last {MORE_DAYS} days, to {newest}, come in scene 2"
            ),
            without_column: columns.without_sales(header, &sample),
            with_bad_rows: columns.with_bad_rows(header, &sample),
            second: text,
            question,
        })
    }
}

/// Where the header has which column.
struct Columns {
    date: usize,
    store: usize,
    item: usize,
    sales: usize,
}

impl Columns {
    fn of(header: &str) -> anyhow::Result<Self> {
        let names: Vec<String> = header
            .trim_start_matches('\u{feff}')
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let find = |accepted: &[&str]| {
            let at = names
                .iter()
                .position(|name| accepted.contains(&name.as_str()));
            at.with_context(|| {
                format!(
                    "the data has no column {}: its header is `{header}`",
                    accepted.join(" or ")
                )
            })
        };
        if header.contains('"') {
            bail!("the demonstration splits unquoted CSV only; its header is `{header}`");
        }
        Ok(Self {
            date: find(&["date"])?,
            store: find(&["store", "store_id"])?,
            item: find(&["item", "item_id"])?,
            sales: find(&["sales", "target"])?,
        })
    }

    fn date(&self, line: &str) -> Option<Date> {
        field(line, self.date).parse().ok()
    }

    fn without_sales(&self, header: &str, sample: &[&str]) -> String {
        let drop = |line: &str| {
            let fields = line
                .split(',')
                .enumerate()
                .filter(|(column, _)| *column != self.sales);
            fields.map(|(_, field)| field).collect::<Vec<_>>().join(",")
        };
        std::iter::once(header)
            .chain(sample.iter().copied())
            .map(|line| drop(line) + "\n")
            .collect()
    }

    /// Line 3 sells minus five units, and the last line repeats line 2.
    fn with_bad_rows(&self, header: &str, sample: &[&str]) -> String {
        let mut lines: Vec<String> = std::iter::once(header)
            .chain(sample.iter().copied())
            .map(str::to_owned)
            .collect();
        if let Some(line) = lines.get_mut(2) {
            let fields = line
                .split(',')
                .enumerate()
                .map(|(column, field)| if column == self.sales { "-5" } else { field });
            *line = fields.collect::<Vec<_>>().join(",");
        }
        if let Some(line) = lines.get(1).cloned() {
            lines.push(line);
        }
        lines.join("\n") + "\n"
    }
}

fn field(line: &str, column: usize) -> &str {
    line.split(',').nth(column).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Least = Least {
        rows: 100,
        days: 120,
    };

    fn daily(days: i64) -> String {
        let first = Date::constant(2024, 1, 1);
        let mut text = "date,store,item,sales\n".to_owned();
        for day in 0..days {
            let date = first.saturating_add(day.days());
            writeln!(text, "{date},1,1,5").unwrap();
        }
        text
    }

    #[test]
    fn what_scene_1_leaves_out_is_told_and_a_short_file_is_refused_with_the_days_it_needs() {
        let split = |days| Uploads::split("f".to_owned(), daily(days), &LEAST);
        let uploads = split(180).unwrap();
        assert_eq!(
            uploads.cut,
            "scene 1 has 120 rows to 2024-04-29; the last 60 days, to 2024-06-28, come in scene 2"
        );
        assert_eq!(uploads.first, daily(120));
        for (days, left) in [(179, "119 rows over 119 days"), (59, "0 rows over 0 days")] {
            let error = split(days).err().unwrap().to_string();
            for part in [left, "180 days or more", &format!("it has {days} days")] {
                assert!(error.contains(part), "`{part}` in: {error}");
            }
        }
    }

    #[test]
    fn the_least_is_what_the_project_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let least = Least::read(&root).unwrap();
        assert!(least.rows > 0 && least.days > 0, "{least:?}");
    }

    #[test]
    fn the_second_upload_has_more_days_and_the_broken_ones_are_broken() {
        let uploads = Uploads::generated(&LEAST).unwrap();
        assert!(uploads.origin.contains("GENERATED"));
        assert!(uploads.second.len() > uploads.first.len());
        assert!(
            uploads
                .second
                .starts_with(uploads.first.lines().next().unwrap())
        );
        assert!(
            !uploads
                .without_column
                .lines()
                .next()
                .unwrap()
                .contains("sales")
        );
        let rows: Vec<&str> = uploads.with_bad_rows.lines().collect();
        assert!(rows[2].ends_with(",-5"), "{}", rows[2]);
        assert_eq!(rows[1], *rows.last().unwrap());
    }

    #[test]
    fn columns_are_found_by_either_name_in_any_order() {
        let columns = Columns::of("target,item_id,date,store_id,note").unwrap();
        assert_eq!(
            (columns.sales, columns.item, columns.date, columns.store),
            (0, 1, 2, 3)
        );
        assert!(Columns::of("date,store,sales").is_err());
    }
}

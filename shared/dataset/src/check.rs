//! The check: one pass that judges, profiles and digests.

use std::io::{self, Read};

use jiff::civil::Date;

use crate::contract::Contract;
use crate::day::Day;
use crate::error::Error;
use crate::finding::{Findings, Rule};
use crate::profile::Profiler;
use crate::report::{Report, SCHEMA_VERSION, Verdict};
use crate::row::Limits;
use crate::series::{Keys, Seen};
use crate::table::{Next, Table};

/// Holds a data set against the contract, on the day `today`.
///
/// `read` is read once, to its end, in reads of up to 256 KiB (no buffering is needed around it); it
/// may yield plain or gzip-compressed text. Whatever is wrong with the data is in the report.
///
/// # Errors
/// [`Error::Read`] if `read` itself fails.
pub fn check(read: impl Read, contract: &Contract, today: Date) -> Result<Report, Error> {
    let limits = Limits::of(contract, today);
    let table = Table::open(read, contract, limits).map_err(Error::Read)?;
    judge(table, contract, today).map_err(Error::Read)
}

fn judge<R: Read>(mut table: Table<R>, contract: &Contract, today: Date) -> io::Result<Report> {
    let mut keys = Keys::new(contract.max_memory_mib);
    let mut profiler = Profiler::new();
    let mut dates: Option<(Day, Day)> = None;
    loop {
        let row = match table.next()? {
            Next::Row(row) => row,
            Next::Rejected => continue,
            Next::End => break,
        };
        match keys.insert(row.store, row.item, row.day) {
            Seen::New => {
                profiler.add(row.sales);
                let (from, to) = dates.unwrap_or((row.day, row.day));
                dates = Some((from.min(row.day), to.max(row.day)));
            }
            rule => table.reject(
                match rule {
                    Seen::Unknown => Rule::DuplicatesUnchecked,
                    _ => Rule::DuplicateKey,
                },
                || format!("{}, store {}, item {}", row.day, row.store, row.item),
            ),
        }
    }

    let mut facts = table.finish()?;
    let as_of = Day::from(today);
    let history_days = dates.map_or(0, |(from, to)| to.since(from).unsigned_abs() + 1);
    let age_days = dates.map(|(_, to)| as_of.since(to).unsigned_abs());
    if facts.has_header {
        whole_file(
            contract,
            profiler.count(),
            history_days,
            age_days,
            &mut facts.findings,
        );
    }
    let distinct = keys.distinct();
    if let Some(most) = contract.max_series.map(u64::from)
        && distinct.series > most
    {
        let seen = format!(
            "There are {} series; at most {most} are taken.",
            distinct.series
        );
        facts.findings.file(Rule::TooManySeries, &seen);
    }
    Ok(Report {
        schema_version: SCHEMA_VERSION,
        verdict: if facts.findings.is_empty() {
            Verdict::Accepted
        } else {
            Verdict::Rejected
        },
        digest: facts.digest,
        bytes: facts.bytes,
        gzip: facts.gzip,
        as_of: today,
        rows: facts.rows,
        accepted_rows: profiler.count(),
        stores: distinct.stores,
        items: distinct.items,
        series: distinct.series,
        from: dates.map(|(from, _)| from.date()),
        to: dates.map(|(_, to)| to.date()),
        history_days,
        age_days,
        sales: profiler.finish(),
        extra_columns: facts.extra_columns,
        findings: facts.findings.into_vec(),
        contract: contract.clone(),
    })
}

/// The rules about a file as a whole.
fn whole_file(
    contract: &Contract,
    rows: u64,
    history_days: u32,
    age_days: Option<u32>,
    findings: &mut Findings,
) {
    if rows < contract.min_rows {
        let least = contract.min_rows;
        let seen = format!("Only {rows} rows are sound; at least {least} are needed.");
        findings.file(Rule::TooFewRows, &seen);
    }
    if history_days < contract.min_history_days {
        let least = contract.min_history_days;
        let seen = format!("The dates span {history_days} days; at least {least} are needed.");
        findings.file(Rule::ShortHistory, &seen);
    }
    if let (Some(most), Some(age)) = (contract.max_age_days, age_days)
        && age > most
    {
        let seen = format!("The newest date is {age} days old; at most {most} are allowed.");
        findings.file(Rule::Stale, &seen);
    }
}

#[cfg(test)]
mod tests;

//! What a check costs: `cargo run --release -p dataset --example bench -- FILE`
//!
//! Prints one JSON line: content in MB (10^6 bytes), CPU seconds of this thread for the whole check
//! and for the SHA-256 of the same bytes alone, and the peak memory of the process before the latter.
//! Reads the CPU clock and the peak from Linux' `/proc`.

use std::fs::{self, File};
use std::io::Read as _;

use anyhow::Context as _;
use dataset::{Contract, check};
use jiff::civil::Date;
use sha2::{Digest as _, Sha256};

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: bench FILE")?;
    let file = File::open(&path).with_context(|| path.clone())?;
    let before = cpu_seconds()?;
    let report = check(file, &Contract::default(), Date::constant(2026, 1, 1))?;
    let cpu = cpu_seconds()? - before;
    let peak = peak_mb()?;

    let mut file = File::open(&path)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut hash = Sha256::new();
    let before = cpu_seconds()?;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let digest = hex::encode(hash.finalize());
    let read_and_hash = cpu_seconds()? - before;
    anyhow::ensure!(
        report.gzip || report.digest.as_ref() == Some(&digest),
        "digests differ"
    );

    let mut file = File::open(&path)?;
    let before = cpu_seconds()?;
    while file.read(&mut buffer)? > 0 {}
    let read = cpu_seconds()? - before;

    let figures = serde_json::json!({
        "what": "ours",
        "mb": report.bytes as f64 / 1e6,
        "rows": report.accepted_rows,
        "series": report.series,
        "accepted": report.is_accepted(),
        "mean": report.sales.map(|sales| sales.mean),
        "cpu_s": cpu,
        "sha256_s": read_and_hash - read,
        "peak_mb": peak,
    });
    println!("{figures}");
    Ok(())
}

/// Time this thread has run, by the scheduler's account.
fn cpu_seconds() -> anyhow::Result<f64> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: u64 = statistics
        .split_whitespace()
        .next()
        .context("schedstat is empty")?
        .parse()?;
    Ok(nanoseconds as f64 / 1e9)
}

/// Peak resident memory of this process, in MB.
fn peak_mb() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib: u32 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().strip_suffix(" kB"))
        .context("no VmHWM in status")?
        .parse()?;
    Ok(f64::from(kib) * 1024.0 / 1e6)
}

//! The Rust side of the comparison with other learners; `run.sh` calls it.
//!
//! - `bench split DATA ROOT` holds out the last three calendar months of DATA, a sales CSV (`.gz` is
//!   unpacked), and lays both parts out as the channels of a training job below ROOT.
//! - `bench features ROOT` writes what our learner sees of the channels as `.npy` files in ROOT.
//! - `bench speed ROOT` loads the model trained below ROOT and prints single-row predictions a second.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use jiff::civil::Date;

use model::calendar::Day;
use model::forecast::{MODEL_FILE, Model};
use model::hyperparameters::Hyperparameters;
use model::sales::{Sale, Table, write_csv};
use model::train::examples;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["split", data, root] => split(Path::new(data), Path::new(root)),
        ["features", root] => features(Path::new(root)),
        ["speed", root] => speed(Path::new(root)),
        _ => bail!("bench split DATA ROOT | bench features ROOT | bench speed ROOT"),
    }
}

fn split(data: &Path, root: &Path) -> Result<()> {
    let file = BufReader::new(File::open(data).with_context(|| data.display().to_string())?);
    let packed = data.extension().is_some_and(|e| e == "gz");
    let text: Box<dyn Read> = if packed {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut table = Table::default();
    table.append(text, &data.display().to_string())?;
    let last = table
        .rows
        .iter()
        .map(|sale| sale.day)
        .max()
        .context("no records")?;
    let months = jiff::Span::new().try_months(2)?;
    let cut = Day::from(Date::from(last).first_of_month().checked_sub(months)?);
    let (validation, train): (Vec<&Sale>, Vec<&Sale>) =
        table.rows.iter().partition(|sale| sale.day >= cut);
    for (channel, rows) in [("train", train), ("validation", validation)] {
        let folder = root.join("input/data").join(channel);
        fs::create_dir_all(&folder)?;
        let mut out = BufWriter::new(File::create(folder.join("sales.csv"))?);
        write_csv(rows, &mut out)?;
        out.flush()?;
    }
    println!("{}", Date::from(cut));
    Ok(())
}

fn channels(root: &Path) -> Result<(Table, Table)> {
    let channel = |name| Table::read(&root.join("input/data").join(name));
    Ok((channel("train")?, channel("validation")?))
}

fn features(root: &Path) -> Result<()> {
    let (train, validation) = channels(root)?;
    let (learnt, held_out) = examples(&train, &validation, &Hyperparameters::default())?;
    if held_out.len() != validation.rows.len() {
        bail!("held-out rows of unknown series can't be compared");
    }
    let units: Vec<f64> = validation
        .rows
        .iter()
        .map(|sale| f64::from(sale.units))
        .collect();
    for (name, values, rows) in [
        ("train_x", &learnt.columns, learnt.len()),
        ("train_ratio", &learnt.ratios, learnt.len()),
        ("train_weight", &learnt.weights, learnt.len()),
        ("validation_x", &held_out.columns, held_out.len()),
        ("validation_units", &units, units.len()),
    ] {
        write_npy(&root.join(format!("{name}.npy")), values, rows)?;
    }
    Ok(())
}

/// Writes columns of `rows` values as a NumPy array of 64-bit floats, version 1.0 of the format.
fn write_npy(path: &Path, columns: &[f64], rows: usize) -> Result<()> {
    let shape = match columns.len() / rows {
        1 => format!("({rows},)"),
        count => format!("({rows}, {count})"),
    };
    let mut header = format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}");
    // The magic, the length and the header together fill a multiple of 64 bytes.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&u16::try_from(header.len())?.to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for value in columns {
        out.write_all(&value.to_le_bytes())?;
    }
    Ok(out.flush()?)
}

fn speed(root: &Path) -> Result<()> {
    let model = Model::read(&fs::read(root.join("model").join(MODEL_FILE))?)?;
    let (_, validation) = channels(root)?;
    let start = Instant::now();
    let mut count = 0_u32;
    let mut sum = 0.0;
    while start.elapsed().as_secs() < 2 {
        for sale in validation.rows.iter().step_by(7) {
            sum += model.forecast(sale.key, sale.day)?.prediction;
            count += 1;
        }
    }
    println!("{:.0}", f64::from(count) / start.elapsed().as_secs_f64());
    // So that the calls can't be left out by the compiler.
    eprintln!("mean {:.2}", sum / f64::from(count));
    Ok(())
}

//! Makes a sales data set of any size, the same one each time.
//!
//! `cargo run --release -p dataset --example make_sales -- FILE [STORES ITEMS DAYS] [series|date]`
//!
//! The default, 50 stores x 500 items x 1826 days sorted by series, is 25,000 series in 45.65 million
//! rows and about 1 GB.

use std::fs::File;

use anyhow::{Context as _, bail};
use dataset::{Day, Row, RowWriter};
use jiff::civil::Date;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, size, order) = match arguments.as_slice() {
        [path] => (path, [50, 500, 1826], "series"),
        [path, order] => (path, [50, 500, 1826], order.as_str()),
        [path, stores, items, days] => (path, sizes([stores, items, days])?, "series"),
        [path, stores, items, days, order] => (path, sizes([stores, items, days])?, order.as_str()),
        _ => bail!("usage: make_sales FILE [STORES ITEMS DAYS] [series|date]"),
    };
    let [stores, items, days] = size;
    let series = || (1..=items).flat_map(move |item| (1..=stores).map(move |store| (store, item)));

    let mut sales = Sales(42);
    let mut writer = RowWriter::new(File::create(path).with_context(|| path.clone())?)?;
    match order {
        "series" => {
            for (store, item) in series() {
                for day in 0..days {
                    writer.write(&sales.row(store, item, day)?)?;
                }
            }
        }
        "date" => {
            for day in 0..days {
                for (store, item) in series() {
                    writer.write(&sales.row(store, item, day)?)?;
                }
            }
        }
        other => bail!("order `{other}` is neither `series` nor `date`"),
    }
    println!("{} rows in {path}", writer.finish()?);
    Ok(())
}

fn sizes(texts: [&String; 3]) -> anyhow::Result<[u32; 3]> {
    let [stores, items, days] = texts.map(|text| text.parse());
    Ok([stores?, items?, days?])
}

/// Draws sales from 0 to 126 by Knuth's linear congruential generator.
struct Sales(u64);

impl Sales {
    fn row(&mut self, store: u32, item: u32, day: u32) -> anyhow::Result<Row> {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The sum of two even draws: small and large sales are rare.
        let draw = u32::try_from(self.0 >> 52)?;
        Ok(Row {
            day: Day::from(Date::constant(2013, 1, 1)).plus(i32::try_from(day)?),
            store,
            item,
            sales: f64::from((draw >> 6) + (draw & 63)),
        })
    }
}

"""The checks of the `dataset` crate in polars (streaming); prints one JSON line like its `bench` example."""

import sys
import time
from datetime import date

import figures
import polars as pl

start = time.process_time()
schema = {"date": pl.Date, "store": pl.UInt32, "item": pl.UInt32, "sales": pl.Float64}
frame = pl.scan_csv(sys.argv[1], schema=schema)
day, sales = pl.col("date"), pl.col("sales")
levels = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]
checks = frame.select(
    rows=pl.len(),
    missing_value=pl.any_horizontal(pl.all().is_null()).sum(),
    date_range=(~day.is_between(date(2000, 1, 1), date(2026, 1, 1))).sum(),
    ids=((pl.col("store") < 1) | (pl.col("item") < 1)).sum(),
    sales_range=(~sales.is_between(0, 100_000)).sum(),
    days=(day.max() - day.min()).dt.total_days() + 1,
    mean=sales.mean(),
    std=sales.std(),
    min=sales.min(),
    max=sales.max(),
    zero_share=(sales == 0).mean(),
    **{f"p{level}": sales.quantile(level) for level in levels},
)
keys = frame.group_by("store", "item", "date").len().group_by("store", "item").agg(rows=pl.col("len").sum(), days=pl.len())
duplicates = keys.select(series=pl.len(), duplicate=(pl.col("rows") - pl.col("days")).sum())
found, unique = (result.row(0, named=True) for result in pl.collect_all([checks, duplicates], engine="streaming"))
findings = [found["missing_value"], found["date_range"], found["ids"], found["sales_range"], unique["duplicate"]]
accepted = not any(findings) and found["rows"] >= 100 and found["days"] >= 120
figures.show("polars", found["rows"], unique["series"], accepted, found["mean"], start)

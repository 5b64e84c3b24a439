"""The checks of the `dataset` crate in pandas; prints one JSON line like its `bench` example."""

import sys
import time

import figures
import pandas as pd

start = time.process_time()
frame = pd.read_csv(sys.argv[1])
missing = {"date", "store", "item", "sales"} - set(frame.columns)
date = pd.to_datetime(frame["date"], format="%Y-%m-%d", errors="coerce")
frame["date"] = date
findings = {
    "missing_column": len(missing),
    "missing_value": int(frame.isna().any(axis=1).sum()),
    "type": sum(not pd.api.types.is_numeric_dtype(frame[name]) for name in ("store", "item", "sales")),
    "date_range": int(((date < "2000-01-01") | (date > "2026-01-01")).sum()),
    "ids": int(((frame["store"] < 1) | (frame["item"] < 1)).sum()),
    "sales_range": int(((frame["sales"] < 0) | (frame["sales"] > 100_000)).sum()),
    "duplicate": int(frame.duplicated(["date", "store", "item"]).sum()),
    "history": int((date.max() - date.min()).days + 1 < 120),
    "rows": int(len(frame) < 100),
}
series = len(frame[["store", "item"]].drop_duplicates())
sales = frame["sales"]
profile = sales.mean(), sales.std(), sales.min(), sales.max(), (sales == 0).mean()
sales.quantile([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
figures.show("pandas", len(frame), series, not any(findings.values()), profile[0], start)

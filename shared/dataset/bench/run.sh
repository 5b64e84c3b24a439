#!/bin/sh
# The check of a data set beside the same checks in pandas and polars, one run each on the same file.
#   shared/dataset/bench/run.sh [FILE]
# Without FILE it makes one of 25,000 series (1 GB). Needs Linux, cargo, Python >= 3.11 and, the first
# time, a package index.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
venv="$here/../.venv-bench"
binaries="${CARGO_TARGET_DIR:-$root/target}/release/examples"

(cd "$root" && "${CARGO:-cargo}" build --quiet --release -p dataset --examples)
if [ ! -e "$venv/ready" ]; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
    touch "$venv/ready"
fi

file="${1:-}"
if [ -z "$file" ]; then
    file="${CARGO_TARGET_DIR:-$root/target}/bench-sales.csv"
    [ -e "$file" ] || "$binaries/make_sales" "$file"
fi
cat "$file" >/dev/null # into the page cache, for all alike
{
    "$binaries/bench-dataset" "$file"
    "$venv/bin/python" "$here/polars_check.py" "$file"
    "$venv/bin/python" "$here/pandas_check.py" "$file"
} | "$venv/bin/python" "$here/figures.py"

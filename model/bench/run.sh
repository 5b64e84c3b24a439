#!/bin/sh
# Compares our model with scikit-learn's random forest and LightGBM, on the same features, in one run:
#
#   model/bench/run.sh DATA.csv.gz
#
# QUICK=1 grows a tenth of the forest (the whole takes many minutes of CPU), and says so.
set -eu
data=$(realpath "${1:?usage: model/bench/run.sh DATA.csv.gz}")
bench=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$bench/../.." && pwd)
venv="$bench/.venv-bench"
target=${CARGO_TARGET_DIR:-$project/target}

if ! cmp -s "$bench/requirements.txt" "$venv/installed.txt"; then
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
        --require-hashes -r "$bench/requirements.txt"
    cp "$bench/requirements.txt" "$venv/installed.txt"
fi
# The whole workspace, as the other targets build it: one package alone would compile the AWS SDK again, with
# other features.
"${CARGO:-cargo}" build --release --quiet --locked --manifest-path "$project/Cargo.toml" --workspace --bins --example bench

work="$target/bench-model"
rm -rf "$work"
mkdir -p "$work"
exec "$venv/bin/python" "$bench/compare.py" "$data" "$work" "$target/release"

"""Trains one other learner on the numbers ours sees, and prints its figures as JSON.

python peers.py NAME ROOT   where ROOT holds the .npy files of `bench features`.

A peer learns what ours learns: units as a multiple of the seasonal base, weighted by the base.
CPU seconds are those of fitting alone: imports and reading files are not counted.
"""

import json
import os
import pathlib
import sys
import time

import numpy as np

SEED = 42


def forest(trees):
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(n_estimators=trees, max_depth=10, random_state=SEED, n_jobs=os.cpu_count())


def lightgbm():
    from lightgbm import LGBMRegressor

    return LGBMRegressor(n_estimators=200, max_depth=10, num_leaves=31, random_state=SEED, verbose=-1)


def save(name, model, path):
    if name == "lightgbm":
        model.booster_.save_model(path)
    else:
        import joblib

        joblib.dump(model, path)
    return path.stat().st_size


def single_row_function(name, model):
    if name == "lightgbm":
        return lambda row: model.booster_.predict(row, num_threads=1)
    model.set_params(n_jobs=1)
    return model.predict


def main():
    name, root = sys.argv[1], pathlib.Path(sys.argv[2])
    load = lambda part: np.load(root / f"{part}.npy")
    trees = int(os.environ.get("TREES", "200"))
    model = lightgbm() if name == "lightgbm" else forest(trees)
    x, ratio, weight = load("train_x"), load("train_ratio"), load("train_weight")

    before = time.process_time()
    model.fit(x, ratio, sample_weight=weight)
    cpu = time.process_time() - before
    del x, ratio, weight

    held_out, units = load("validation_x"), load("validation_units")
    error = units - np.maximum(model.predict(held_out) * held_out[:, 0], 0)
    size = save(name, model, root / f"{name}.model")

    predict = single_row_function(name, model)
    rows = np.ascontiguousarray(held_out)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < 2:
        at = count * 7 % len(rows)
        predict(rows[at : at + 1])
        count += 1
    speed = count / (time.perf_counter() - start)

    print(json.dumps({
        "accuracy": 1 - np.abs(error).sum() / units.sum(),
        "rmse": float(np.sqrt((error**2).mean())),
        "cpu_s": cpu,
        "speed": speed,
        "model_mb": size / 1e6,
    }))


if __name__ == "__main__":
    main()

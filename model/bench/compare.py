"""Runs ours and the peers one after the other, each in a process of its own, and prints one table.

python compare.py DATA ROOT BIN   BIN holds `train` and `examples/bench`.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
QUICK = os.environ.get("QUICK") == "1"
TREES = 20 if QUICK else 200


def run(command, **environment):
    """Output, CPU seconds and peak memory (MB) of a command."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} failed")
    return output, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def ours(root, binaries):
    output, cpu, peak = run([binaries / "train"], ML_ROOT=str(root), LOG="warn")
    scores = dict(line.removeprefix("validation:").split("=") for line in output.splitlines())
    speed, _, _ = run([binaries / "examples/bench", "speed", root])
    size = sum(path.stat().st_size for path in (root / "model").iterdir())
    return {
        "accuracy": float(scores["accuracy"]), "rmse": float(scores["rmse"]),
        "cpu_s": cpu, "peak_mb": peak, "speed": float(speed), "model_mb": size / 1e6,
    }


def peer(name, root):
    output, _, peak = run([sys.executable, HERE / "peers.py", name, root], TREES=str(TREES))
    return {**json.loads(output), "peak_mb": peak}


def base_alone(root):
    base, units = np.load(root / "validation_x.npy")[:, 0], np.load(root / "validation_units.npy")
    error = units - base
    return {"accuracy": 1 - np.abs(error).sum() / units.sum(), "rmse": float(np.sqrt((error**2).mean()))}


COLUMNS = [
    ("accuracy", "accuracy", "{:.4f}", False),
    ("rmse", "RMSE", "{:.2f}", False),
    ("cpu_s", "train CPU s", "{:.1f}", True),
    ("peak_mb", "peak MB", "{:.0f}", True),
    ("speed", "single-row predictions/s", "{:,.0f}", True),
    ("model_mb", "model MB", "{:.2f}", True),
]


def row(name, figures, reference):
    cells = [name]
    for key, _, form, with_ratio in COLUMNS:
        if key not in figures:
            cells.append("–")
            continue
        cell = form.format(figures[key])
        if with_ratio and figures is not reference:
            cell += " ({:.3g}x)".format(figures[key] / reference[key])
        cells.append(cell)
    return cells


def main():
    data, root, binaries = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    cut, _, _ = run([binaries / "examples/bench", "split", data, root])
    run([binaries / "examples/bench", "features", root])
    reference = ours(root, binaries)
    rows = [
        row("ours", reference, reference),
        row("LightGBM, 200 trees x 31 leaves", peer("lightgbm", root), reference),
        row(f"scikit-learn forest, {TREES} trees x depth 10", peer("forest", root), reference),
        row("the seasonal base alone", base_alone(root), reference),
    ]
    print(f"\nHeld out: from {cut.strip()}. Ratios are to ours. Accuracy is 1 - WAPE.")
    print("Ours counts the whole `train` process, reading CSV and computing features included; a peer's CPU")
    print("is that of fitting alone, on the features ours computed. Our model's size includes the history.")
    if QUICK:
        print(f"QUICK=1: the forest has {TREES} trees, not the 200 of the full comparison; its CPU, size and")
        print("single-row speed are those of a tenth of it.")
    print()
    header = ["learner", *(title for _, title, _, _ in COLUMNS)]
    table = [header, ["---"] * len(header), *rows]
    widths = [max(len(line[at]) for line in table) for at in range(len(header))]
    for line in table:
        fill = "-" if line[0] == "---" else " "
        print("| " + " | ".join(cell.ljust(width, fill) for cell, width in zip(line, widths)) + " |")


if __name__ == "__main__":
    main()

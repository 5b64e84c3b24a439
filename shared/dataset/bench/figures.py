"""The JSON line that a benchmark prints, and the table made of several."""

import json
import os
import resource
import sys
import time


def show(what, rows, series, accepted, mean, start):
    """Prints the figures of the run that began at CPU second `start`."""
    cpu = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    size = os.path.getsize(sys.argv[1]) / 1e6
    line = {"what": what, "mb": size, "rows": rows, "series": series, "accepted": accepted}
    print(json.dumps(line | {"mean": mean, "cpu_s": cpu, "peak_mb": peak}))


def table():
    """Reads the lines of all programs, makes sure they found the same, prints them as ratios."""
    lines = [json.loads(line) for line in sys.stdin if line.strip()]
    ours = next(line for line in lines if line["what"] == "ours")
    for line in lines:
        for same in ("rows", "series", "accepted"):
            assert line[same] == ours[same], f"{line['what']} found {same} {line[same]}, not {ours[same]}"
        assert abs(line["mean"] - ours["mean"]) < 1e-6, line
    without = {**ours, "what": "ours without SHA-256", "cpu_s": ours["cpu_s"] - ours["sha256_s"]}
    print(f"{ours['mb']:.0f} MB, {ours['rows']:,} rows, {ours['series']:,} series; CPU seconds over all threads\n")
    print(f"{'':22}{'CPU s':>9}{'MB / CPU s':>12}{'x CPU':>9}{'peak MB':>9}{'x peak':>9}")
    for line in [ours, without, *(line for line in lines if line is not ours)]:
        speed, peak = line["mb"] / line["cpu_s"], line["peak_mb"]
        cpu_ratio, peak_ratio = line["cpu_s"] / ours["cpu_s"], peak / ours["peak_mb"]
        print(f"{line['what']:22}{line['cpu_s']:9.2f}{speed:12.0f}{cpu_ratio:9.1f}{peak:9.0f}{peak_ratio:9.1f}")


if __name__ == "__main__":
    table()

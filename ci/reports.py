"""Fetches the chain's reports on a release, for the archive: its data's validation, its model's evaluation.

    reports.py FOLLOW_REPORT FOLDER

FOLLOW_REPORT is what follow.py wrote. What there is no report on is said, and no error.
"""

import json
import os
import sys

import aws


def keys(report):
    """Where the reports are that a followed release or training has."""
    model = (report.get("manifest") or {}).get("model", {})
    job = model.get("training_job") or report.get("training_job")
    found = []
    if model.get("dataset"):
        found.append(f"datasets/{model['dataset']}/validation_report.json")
    if job:
        found += [f"evaluations/{job}/{name}" for name in
                  ("evaluation_results.json", "judgement.json", "actual-vs-predicted.svg", "residuals.svg")]
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    path, folder = sys.argv[1:]
    if not os.path.exists(path):
        print(f"nothing was followed, so there are no reports: no {path}")
        return
    place = aws.Place.here()
    with open(path) as file:
        wanted = keys(json.load(file))
    if not wanted:
        print("no release and no model: no reports")
    os.makedirs(folder, exist_ok=True)
    try:
        for key in wanted:
            content = place.read(key)
            if content is None:
                print(f"there is no s3://{place.bucket}/{key}")
                continue
            with open(os.path.join(folder, os.path.basename(key)), "wb") as file:
                file.write(content)
            print(f"fetched s3://{place.bucket}/{key}")
    except aws.Failed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()

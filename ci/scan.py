"""Scans an image with Trivy; HIGH and CRITICAL findings stop it.

    scan.py ARCHIVE

Leaves beside ARCHIVE: `.trivy.json` (everything found), `.sbom.json` (CycloneDX of the whole image) and
`.scan.json`, the record by which the event chain knows the result for this very digest.
"""

import collections
import json
import os
import shutil
import subprocess
import sys

import aws
import layers

STOPPING = ("CRITICAL", "HIGH")


def findings(report):
    """How many of each severity, and the stopping ones in words."""
    found = [finding for result in report.get("Results") or [] for finding in result.get("Vulnerabilities") or []]
    counts = collections.Counter(finding["Severity"] for finding in found)
    stopping = [f"{finding['Severity']} {finding['VulnerabilityID']} {finding['PkgName']} {finding['InstalledVersion']}"
                + (f", fixed in {finding['FixedVersion']}" if finding.get("FixedVersion") else ", no fix yet")
                for finding in found if finding["Severity"] in STOPPING]
    return dict(counts), stopping


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    path = sys.argv[1]
    if shutil.which("trivy") is None:
        print("trivy is missing: the image is not scanned, and isn't pushed without", file=sys.stderr)
        sys.exit(3)
    base = os.path.splitext(path)[0]
    scan = ["trivy", "image", "--quiet", "--input", path, "--scanners", "vuln", "--format", "json", "--output", f"{base}.trivy.json"]
    sbom = ["trivy", "image", "--quiet", "--input", path, "--format", "cyclonedx", "--output", f"{base}.sbom.json"]
    for command in (scan, sbom):
        subprocess.run(command, check=True)
    with open(f"{base}.trivy.json") as file:
        report = json.load(file)
    system = (report.get("Metadata") or {}).get("OS") or {}
    if not system.get("Family"):
        sys.exit("trivy found no operating system in the image: nothing says that it is clean")
    counts, stopping = findings(report)
    archive = layers.Archive(path)
    version = subprocess.run(["trivy", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    record = {
        "schema": 1, "digest": archive.digest, "scanner": version, "status": "COMPLETE", "findings": counts,
        "at": aws.now(),
    }
    with open(f"{base}.scan.json", "w") as file:
        json.dump(record, file, indent=2)
    print(f"{path}: {archive.digest}: {counts or 'no findings'} ({system['Family']} {system.get('Name', '')})")
    if stopping:
        sys.exit("\n".join(["the image isn't pushed:", *stopping]))


if __name__ == "__main__":
    main()

"""The SBOM (CycloneDX 1.5) of one program of `model`: the crates that are linked into it.

    sbom.py train|serve
"""

import json
import subprocess
import sys

TARGET = "x86_64-unknown-linux-gnu"


def linked(metadata, root):
    """Ids of the packages that are linked: dependencies of dependencies, without build and test ones."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    macros = {package["id"] for package in metadata["packages"]
              if any("proc-macro" in target["kind"] for target in package["targets"])}
    found, open_ids = set(), [root]
    while open_ids:
        current = open_ids.pop()
        if current in found or current in macros:
            continue
        found.add(current)
        open_ids += [dependency["pkg"] for dependency in nodes[current]["deps"]
                     if any(kind["kind"] is None for kind in dependency["dep_kinds"])]
    return found


def component(package):
    purl = f"pkg:cargo/{package['name']}@{package['version']}"
    result = {"type": "library", "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl}
    if package.get("license"):
        result["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return result


def main():
    program = sys.argv[1] if len(sys.argv) == 2 else ""
    if program not in ("train", "serve"):
        sys.exit(__doc__)
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    root = next(package for package in packages.values() if package["name"] == "model")
    ids = linked(metadata, root["id"]) - {root["id"]}
    components = sorted((component(packages[id]) for id in ids), key=lambda entry: entry["bom-ref"])
    json.dump({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": {"type": "application", "name": program, "version": root["version"]}},
        "components": components,
    }, sys.stdout, indent=1)


if __name__ == "__main__":
    main()

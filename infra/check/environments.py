"""Environments are the same files with other values: names, order and wiring don't differ.

The values of an environment are those of `main.tf` above its wiring to variables, and the state's key; of its
manifests, the environment's name, figures and quantities.
"""

import re
import sys
from pathlib import Path

ENVIRONMENTS = Path("infra/envs")
OVERLAYS = Path("infra/k8s/overlays")
NAMES = ["dev", "staging", "prod"]
VALUES = ["environment", "cidr", "nat_gateways", "interface_endpoints", "node_groups", "log_retention_days", "archive_retention_days"]


def shape(path: Path, environment: str) -> str:
    text = path.read_text()
    if path.name == "backend.tf":
        return text.replace(f'"{environment}/terraform.tfstate"', '"KEY"')
    if path.name != "main.tf":
        return text
    text = re.sub(r"^#.*\n", "", text, count=1)
    for value in VALUES:
        text = re.sub(rf"^(  {value} *=).*$", r"\1 VALUE", text, flags=re.M)
    # The periods, but not which there are.
    return re.sub(r"^(    \w+ *=) \d+$", r"\1 VALUE", text, flags=re.M)


def manifest(path: Path, environment: str) -> str:
    text = re.sub(rf"\b{environment}\b", "ENVIRONMENT", path.read_text())
    return re.sub(r"(: )\d+(m|Mi|Gi)?$", r"\1VALUE", text, flags=re.M)


def main() -> int:
    found = sorted(path.name for path in ENVIRONMENTS.iterdir())
    if found != sorted(NAMES):
        print(f"environments are {NAMES}, not {found}")
        return 1
    bad = 0
    for folder, kinds, shaped in ((ENVIRONMENTS, (".tf", ".example"), shape), (OVERLAYS, (".yaml",), manifest)):
        files = {name: {path.name for path in (folder / name).iterdir() if path.suffix in kinds} for name in NAMES}
        for file in sorted(set.union(*files.values())):
            shapes = {name: shaped(folder / name / file, name) if file in files[name] else None for name in NAMES}
            for name in NAMES:
                if shapes[name] != shapes["dev"]:
                    print(f"{folder / name / file} differs from dev's in more than values")
                    bad += 1
        print(f"{len(files['dev'])} files of {folder} in {len(NAMES)} environments")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

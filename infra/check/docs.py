"""Writes what each module takes and gives into its README, from its `variables.tf` and `outputs.tf`.

    docs.py           writes
    docs.py --check   exits 1 when a README isn't what it would write
"""

import re
import sys
from pathlib import Path

import hcl2

BEGIN = "<!-- made by infra/check/docs.py -->"
END = "<!-- end -->"


def blocks(folder: Path, kind: str) -> dict[str, dict]:
    found = {}
    for path in sorted(folder.glob("*.tf")):
        for block in hcl2.loads(path.read_text()).get(kind, []):
            found.update(block)
    return found


def only(value):
    """The parser gives each attribute as a list of one, in some versions."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def sources(folder: Path, name: str, attribute: str) -> str | None:
    """The text of a variable's attribute as it is written, on one line: the parser changes expressions."""
    text = (folder / "variables.tf").read_text()
    body = re.search(rf'^variable "{name}" \{{\n(.*?)^\}}', text, re.S | re.M).group(1)
    found = re.search(rf"^  {attribute} *= (.*?)(?=^  \w+ *=|^  \w+ \{{|\Z)", body, re.S | re.M)
    if not found:
        return None
    expression = re.sub(r"#.*", "", found.group(1)).strip()
    expression = re.sub(r" {2,}", " ", re.sub(r"\s*\n\s*", ", ", expression))
    return re.sub(r"([{(\[]),? ", r"\1 ", re.sub(r",? ([})\]])", r" \1", expression)).replace("{ ", "{").replace(" }", "}").replace("( ", "(").replace("[ ", "[").replace(" ]", "]")


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def table(folder: Path) -> str:
    lines = [BEGIN, ""]
    variables, outputs = blocks(folder, "variable"), blocks(folder, "output")
    if variables:
        lines += ["| input | type | default | what it is |", "|---|---|---|---|"]
        for name in sorted(variables):
            kind, default = sources(folder, name, "type"), sources(folder, name, "default")
            shown = "required" if default is None else f"`{cell(default)}`"
            lines.append(f"| `{name}` | `{cell(kind)}` | {shown} | {cell(only(variables[name]['description']))} |")
        lines.append("")
    if outputs:
        lines += ["| output | what it is |", "|---|---|"]
        for name in sorted(outputs):
            lines.append(f"| `{name}` | {cell(only(outputs[name]['description']))} |")
        lines.append("")
    return "\n".join([*lines, END]) + "\n"


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    bad = 0
    folders = sorted(path.parent for path in Path("infra").glob("**/variables.tf") if ".terraform" not in path.parts)
    # The environments have one README: infra/README.md.
    folders = [folder for folder in folders if folder.parts[1] in ("modules", "account", "bootstrap")]
    for folder in folders:
        readme = folder / "README.md"
        text = readme.read_text() if readme.exists() else ""
        if text.count(BEGIN) != 1 or text.count(END) != 1:
            print(f"{readme}: needs the lines `{BEGIN}` and `{END}` once")
            bad += 1
            continue
        before, rest = text.split(BEGIN)
        written = before + table(folder) + rest.split(END)[1].lstrip("\n")
        if written == text:
            continue
        if check:
            print(f"{readme} isn't current: run `make infra-docs`")
            bad += 1
        else:
            readme.write_text(written)
            print(f"wrote {readme}")
    print(f"{len(folders)} READMEs")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

"""What the schema of the provider doesn't say, and only EC2 would refuse at apply: which characters a description of a
security group or of its rules may have.

Read from the source, since some of it (Jenkins) is in no plan of the examples' values.
"""

import re
import sys
from pathlib import Path

RESOURCE = re.compile(r'^resource "aws_(?:vpc_)?security_group\w*" "\w+" \{\n(.*?)^\}', re.S | re.M)
TEXT = re.compile(r"^ +description += (.*)$", re.M)
ALLOWED = re.compile(r"[0-9A-Za-z _.:/()#,@\[\]+=&;{}!$*-]{1,255}")


def main() -> int:
    seen = bad = 0
    for path in sorted(Path("infra").glob("**/*.tf")):
        for resource in RESOURCE.finditer(path.read_text()):
            for written in TEXT.findall(resource[1]):
                for text in re.findall(r'"((?:[^"$]|\$\{[^}]*\}|\$)*)"', written):
                    seen += 1
                    if not ALLOWED.fullmatch(re.sub(r"\$\{[^}]*\}", "x", text)):
                        print(f"{path}: EC2 takes no such description of a security group: {text}")
                        bad += 1
    print(f"{seen} descriptions")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

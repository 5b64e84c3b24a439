"""The alarm on a queue's oldest message lies above what waits in it by design: else it tells people of nothing wrong.

Settings that say how long a message may wait are known by their names.
"""

import json
import re
import sys
from pathlib import Path

SETTINGS = Path("infra/functions.json")
WAIT = re.compile(r"^AWAIT_\w+_S$|_WAIT_S$|_LIMIT_S$|ABANDONED_AFTER_S$")


def main() -> int:
    written = json.loads(SETTINGS.read_text())
    bad = 0
    for function, limits in written["functions"].items():
        allowed = limits.get("oldest_message_s", written["defaults"]["oldest_message_s"])
        for environment in ("dev", "staging", "prod"):
            settings = limits.get("environment", {}) | written["environments"].get(environment, {}).get(function, {})
            for name, value in settings.items():
                if WAIT.search(name) and int(value) >= allowed:
                    print(f"{function}: in {environment} a message may wait for {name}={value} s, and oldest_message_s is {allowed}")
                    bad += 1
    print(f"{len(written['functions'])} functions")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())

"""The statements that a proof of the policies found needed: FUNCTION/SID, one a line."""

import json
import sys

needed = json.load(open(sys.argv[1]))["needed"]
print("\n".join(sorted({f"{one['function']}/{one['statement']}" for one in needed})))

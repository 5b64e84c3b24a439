"""Loads the forecasting API with concurrent users and holds it to limits.

    load_test.py URL

DURATION_S (300), USERS (10)      how long, how many at once
THINK_MS (100)                    each user's pause after an answer
MAX_ERROR_PERCENT (5)             as the alarm of the error rate
MAX_P95_MS (1000)                 as the alarm of the latency, for 95 of 100 requests
REPORT (load_test_results.json)   where the figures go

Exit 0: within the limits; 1: not, and the report says which; 2: nothing could be measured.
"""

import collections
import http.client
import json
import os
import random
import sys
import threading
import time
import urllib.parse

import aws

TIMEOUT_S = 10


class User(threading.Thread):
    """Asks for one prediction after the other, over one connection."""

    def __init__(self, url, seed, until, think_s):
        super().__init__(daemon=True)
        self.url, self.random, self.until, self.think_s = url, random.Random(seed), until, think_s
        self.latencies_ms, self.errors = [], collections.Counter()
        self.connection = None

    def run(self):
        while time.monotonic() < self.until:
            begun = time.monotonic()
            error = self.ask()
            self.latencies_ms.append((time.monotonic() - begun) * 1000)
            if error:
                self.errors[error] += 1
            time.sleep(self.think_s)

    def ask(self):
        """One request; what was wrong with the answer, or `None`."""
        body = {"store_id": self.random.randint(1, 10), "item_id": self.random.randint(1, 50),
                "date": f"2023-{self.random.randint(1, 12):02}-{self.random.randint(1, 28):02}"}
        try:
            if self.connection is None:
                secure = self.url.scheme == "https"
                kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
                self.connection = kind(self.url.netloc, timeout=TIMEOUT_S)
            self.connection.request("POST", f"{self.url.path.rstrip('/')}/predict", json.dumps(body),
                                    {"content-type": "application/json"})
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                return f"status {answer.status}"
            return None if "prediction" in json.loads(text) else "no prediction in the answer"
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.connection = None
            return type(error).__name__


def percentile(ordered, share):
    """The smallest value that `share` percent of the values don't exceed."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def figures(users, elapsed_s, max_error_percent, max_p95_ms):
    """The report."""
    ordered = sorted(latency for user in users for latency in user.latencies_ms)
    errors = sum((user.errors for user in users), collections.Counter())
    failed = sum(errors.values())
    if not ordered:
        return None
    latency = {"avg": sum(ordered) / len(ordered), "min": ordered[0], "max": ordered[-1],
               "p95": percentile(ordered, 95), "p99": percentile(ordered, 99)}
    error_percent = 100 * failed / len(ordered)
    missed = []
    if error_percent > max_error_percent:
        missed.append(f"{error_percent:.2f} % of the requests failed, the limit being {max_error_percent} %")
    if latency["p95"] > max_p95_ms:
        missed.append(f"p95 is {latency['p95']:.1f} ms, the limit being {max_p95_ms} ms")
    return {
        "duration_s": round(elapsed_s, 1), "users": len(users), "requests": len(ordered),
        "success_rate_percent": round(100 - error_percent, 3), "requests_per_s": round(len(ordered) / elapsed_s, 1),
        "latency_ms": {name: round(value, 2) for name, value in latency.items()}, "errors": dict(errors),
        "limits": {"max_error_percent": max_error_percent, "max_p95_ms": max_p95_ms},
        "passed": not missed, "missed": missed,
    }


def main():
    url = urllib.parse.urlsplit(sys.argv[1] if len(sys.argv) == 2 else "")
    if url.scheme not in ("http", "https") or not url.netloc:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    number = lambda name, default: float(os.environ.get(name) or default)
    duration_s, think_s = number("DURATION_S", 300), number("THINK_MS", 100) / 1000
    begun = time.monotonic()
    users = [User(url, seed, begun + duration_s, think_s) for seed in range(int(number("USERS", 10)))]
    for user in users:
        user.start()
    for user in users:
        user.join(duration_s + 2 * TIMEOUT_S)
    report = figures(users, time.monotonic() - begun, number("MAX_ERROR_PERCENT", 5), number("MAX_P95_MS", 1000))
    if report is None:
        print("no request was made", file=sys.stderr)
        sys.exit(2)
    aws.write_report(os.environ.get("REPORT") or "load_test_results.json", {"url": sys.argv[1]} | report)
    latency = report["latency_ms"]
    aws.summarise(f"load test: {report['requests']} requests by {report['users']} users in {report['duration_s']} s, "
                  f"{report['success_rate_percent']} % good, p95 {latency['p95']} ms, p99 {latency['p99']} ms: "
                  + ("within its limits" if report["passed"] else "; ".join(report["missed"])))
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()

"""The AWS CLI, and the names that everything has."""

import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile

ENVIRONMENTS = ("dev", "staging", "prod")


class Failed(Exception):
    """A call that AWS refused, in its words."""


def call(*arguments):
    """`aws …`, its answer as JSON (`None` where it answers nothing)."""
    command = ["aws", *arguments, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"AWS_PAGER": ""})
    if done.returncode != 0:
        raise Failed(f"aws {' '.join(arguments[:2])}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout) if done.stdout.strip() else None


def now():
    """The time, as AWS writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def short_digest(*parts):
    """Twelve characters that name the parts, computed as `names::digest` of shared/domain does."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return digest.hexdigest()[:12]


def summarise(line):
    """A line for people: to stdout, and to the summary of a GitHub run."""
    print(line, flush=True)
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(os.environ["GITHUB_STEP_SUMMARY"], "a") as file:
            file.write(f"{line}\n\n")


def write_report(path, report):
    """A report as JSON, for the archive."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        json.dump(report, file, indent=2)
        file.write("\n")


class Place:
    """An environment in an account: names as `infra/` gives them."""

    def __init__(self, environment, region, account, suffix=""):
        self.environment, self.region, self.account = environment, region, account
        self.bucket = f"retail-mlops-artifacts-{account}-{region}{suffix}"
        self.bus = f"retail-forecast-{environment}"
        self.topic = f"arn:aws:sns:{region}:{account}:retail-forecast-alerts{suffix}"
        self.package_group = f"retail-forecast-models{suffix}"
        self.registry = f"{account}.dkr.ecr.{region}.amazonaws.com"

    @classmethod
    def here(cls):
        """From ENVIRONMENT, AWS_REGION and, if set, AWS_ACCOUNT_ID. NAME_SUFFIX (`-dev`) is what names end
        with where environments share an account."""
        environment = os.environ.get("ENVIRONMENT", "")
        if environment not in ENVIRONMENTS:
            sys.exit(f"ENVIRONMENT is `{environment}`: one of {', '.join(ENVIRONMENTS)} expected")
        region = os.environ.get("AWS_REGION") or "ap-southeast-1"
        try:
            account = os.environ.get("AWS_ACCOUNT_ID") or call("sts", "get-caller-identity")["Account"]
        except Failed as failed:
            sys.exit(str(failed))
        return cls(environment, region, account, os.environ.get("NAME_SUFFIX") or "")

    def read(self, key):
        """An object of the artifacts bucket; `None` when there is none. Whatever else goes wrong is an
        error: a failed read is never "none". Listing tells a missing object from a forbidden one."""
        listed = call("s3api", "list-objects-v2", "--bucket", self.bucket, "--prefix", key, "--max-items", "1") or {}
        if not any(entry["Key"] == key for entry in listed.get("Contents", [])):
            return None
        with tempfile.NamedTemporaryFile() as file:
            call("s3api", "get-object", "--bucket", self.bucket, "--key", key, file.name)
            return open(file.name, "rb").read()

    def record(self, key):
        """A JSON object of the artifacts bucket; `None` when there is none."""
        found = self.read(key)
        return None if found is None else json.loads(found)

    def records(self, prefix, since):
        """The JSON objects below a prefix that were written at or after a time (ISO 8601), oldest first."""
        listed = call("s3api", "list-objects-v2", "--bucket", self.bucket, "--prefix", prefix) or {}
        found = [(entry["LastModified"], entry["Key"]) for entry in listed.get("Contents", [])]
        return [self.record(key) for at, key in sorted(found) if at[:19] >= since[:19]]

    def tagged(self, name, tag):
        """The digest of the image (`train`, `infer`) that has a tag; `None` when none has it."""
        try:
            answer = call("ecr", "describe-images", "--repository-name", f"retail-forecast-{name}", "--image-ids", f"imageTag={tag}")
        except Failed as failed:
            if "ImageNotFoundException" in str(failed):
                return None
            raise
        return answer["imageDetails"][0]["imageDigest"]

    def announce(self, detail_type, subject, detail):
        """Puts an event of ours on the environment's bus. Its id is computed from the fact that it states,
        so that the same request twice is the same fact."""
        detail = detail | {"id": short_digest(detail_type, subject)}
        entry = {"Source": "retail-forecast", "DetailType": detail_type, "Detail": json.dumps(detail), "EventBusName": self.bus}
        answer = call("events", "put-events", "--entries", json.dumps([entry]))
        if answer.get("FailedEntryCount"):
            raise Failed(f"events put-events: {answer['Entries'][0].get('ErrorMessage', answer)}")
        return answer["Entries"][0]["EventId"]

"""Follows what the event chain does with what a pipeline gave it, and says how it ended.

    follow.py image DIGEST       the inference image that was pushed
    follow.py training BUILD_ID  the training that was asked for, and the release that comes of it
    follow.py rollback RELEASE   the way back from a release

or, in the name's place, the JSON file in which push.py and request.py note name and time.

It reads the chain's own records in the artifacts bucket (pointer, release manifests, decisions,
judgements) and, for a training, its model package. Exit 0: done, or rightly not done; 1: failed or not
deployed, with the reason. The end is also written to REPORT (JSON) and said in one line.

ENVIRONMENT, AWS_REGION   which environment
SINCE                     what was written before (ISO 8601) belongs to an earlier run
FOLLOW_LIMIT_S            longest wait; the chain's own limits, of infra/functions.json, if left out
FOLLOW_PERIOD_S           seconds between two looks (10)
"""

import json
import os
import sys
import time
from pathlib import Path

import aws

SETTINGS = Path(__file__).parent.parent / "infra/functions.json"
KINDS = ("image", "training", "rollback")
# What isn't a failure: `waits` for a partner or a person, `kept` the live model because it is better.
GOOD = ("verified", "restored", "superseded", "waits", "kept")


def limits_s(environment, settings):
    """The longest that the chain itself allows each, but for the wait behind another release: who gives up earlier
    calls a failure what is still on its way, and goes back from what is about to be good."""

    def setting(function, name):
        layers = (settings.get("environments", {}).get(environment, {}).get(function, {}), settings["functions"][function]["environment"])
        return next(layer[name] for layer in layers if name in layer)

    def seconds(function, *names):
        return sum(int(setting(function, name)) for name in names)

    proved = max(seconds("verify-release", "ROLLOUT_LIMIT_S", "HEALTH_LIMIT_S"), seconds("verify-release", "ENDPOINT_LIMIT_S"))
    tried_out = seconds("judge-canary", "ROLLOUT_LIMIT_S", "CANARY_LIMIT_S") if setting("deploy-release", "STRATEGY") == "canary" else 0
    return {
        "image": seconds("deploy-release", "SCAN_LIMIT_S") + tried_out + proved,
        "training": seconds("start-training", "TRAINING_MAX_RUNTIME_S") + seconds("judge-model", "MAX_WAIT_S") + tried_out + proved,
        "rollback": proved,
    }


class End(Exception):
    """How it ended, why, and facts for the report."""

    def __init__(self, outcome, reason, **facts):
        super().__init__(reason)
        self.outcome, self.reason, self.facts = outcome, reason, facts


class Follower:
    """Looks at one environment."""

    def __init__(self, place, since):
        self.place, self.since = place, since
        # Our release, once it was the target.
        self.release = None

    def target(self):
        """The pointer and its target, which may be nothing."""
        pointer = self.place.record(f"environments/{self.place.environment}/pointer.json") or {}
        return pointer, pointer.get("target")

    def manifest(self, release):
        return self.place.record(f"releases/{release}.json")

    def deployment(self, subject, is_ours):
        """One look at the deployment of what `subject` names (image by digest, package ARN)."""
        pointer, target = self.target()
        if target:
            manifest = self.manifest(target["release"])
            if manifest and is_ours(manifest):
                self.release = target["release"]
                return self.of_ours(target, manifest)
            if target["state"] == "restoring" and target["from"] == self.release:
                raise End("rolled-back", f"{self.release} made way for {target['release']}: {target['cause']}", release=self.release)
        if self.release:
            self.of_former(self.release)
            # Taken away between two looks, a canary without any verdict of verify-release.
            if self.release in (target.get("gone_from"), target.get("abandoned")):
                raise End("rolled-back", f"{self.release} made way for {target['release']}: {target['cause']}", release=self.release)
        decision = subject and self.skipped(subject)
        if decision:
            # An environment that never had a model: the image is there for the first one.
            never = not target and not pointer.get("held")
            raise End("waits" if never or decision["decision"] == "hold" else "not-deployed", decision["reason"])
        return f"{target['release']} is {target['state']}, and isn't ours" if target else "nothing is deployed yet"

    def of_ours(self, target, manifest):
        """What the pointer says while our release is the target."""
        release, state = target["release"], target["state"]
        if state == "verified":
            raise End("verified", f"{release} serves, verified {target['judged_at']}", release=release, manifest=manifest)
        if state == "failed":
            raise End("failed", f"{release}: {target['reason']}", release=release, manifest=manifest)
        return f"{release} is {state}"

    def of_former(self, release):
        """The verdict on our release, which isn't the target any more."""
        for decision in reversed(self.place.records(f"decisions/verify-release/{release}-", self.since)):
            if decision["decision"] == "verified":
                raise End("superseded", f"{release} was verified, and another release followed", release=release)
            if decision["decision"] == "failed":
                failed = decision["failed"]
                raise End("failed", f"{release}: {failed['stage']}: {failed['reason']}", release=release)

    def skipped(self, subject):
        """Why the subject wasn't deployed, as far as `deploy-release` said so since."""
        decisions = self.place.records(f"decisions/deploy-release/skipped-{aws.short_digest(subject)}-", self.since)
        return decisions[-1] if decisions else None

    def image(self, digest):
        subject = f"{self.place.registry}/retail-forecast-infer@{digest}"
        return self.deployment(subject, lambda manifest: manifest["image"]["digest"] == digest)

    def training(self, build_id):
        """The build id names the job, and the job its records: none of them is an earlier run's."""
        job = f"retail-forecast-{build_id}"
        judgement = self.place.record(f"evaluations/{job}/judgement.json")
        if judgement is None:
            return self.unjudged(job)
        if judgement["verdict"] in ("fail", "no-data"):
            raise End("kept", f"{job} was judged {judgement['verdict']}: {judgement['reason']}; the live model stays", training_job=job)
        package = self.package(job)
        if package is None:
            return f"{job} was judged {judgement['verdict']}, and isn't registered yet"
        if package["ModelApprovalStatus"] == "PendingManualApproval":
            raise End("waits", f"{package['ModelPackageArn']} waits for a person's approval", training_job=job)
        return self.deployment(package["ModelPackageArn"], lambda manifest: manifest["model"]["training_job"] == job)

    def unjudged(self, job):
        decisions = self.place.records(f"decisions/start-evaluation/{job}-", "")
        failure = next((decision["failure"] for decision in decisions if decision["decision"] == "training-failed"), None)
        if failure:
            raise End("failed", f"{failure['failed_job']} is {failure['status']}: {failure['reason']}", training_job=job)
        held = self.place.record(f"environments/{self.place.environment}/held-evaluation.json")
        if held and job in held["training_jobs"]:
            raise End("waits", f"{job} is trained; its evaluation waits for a first inference image", training_job=job)
        started = self.place.records(f"decisions/start-training/{job}-", "")
        return f"{job} is being trained and evaluated" if started else f"{job} hasn't begun"

    def package(self, job):
        """The model package of a training job."""
        listed = aws.call("sagemaker", "list-model-packages", "--model-package-group-name", self.place.package_group,
                          "--sort-by", "CreationTime", "--sort-order", "Descending", "--max-results", "20")
        for summary in listed["ModelPackageSummaryList"]:
            package = aws.call("sagemaker", "describe-model-package", "--model-package-name", summary["ModelPackageArn"])
            if package.get("CustomerMetadataProperties", {}).get("training_job") == job:
                return package
        return None

    def rollback(self, release):
        _, target = self.target()
        if not target:
            raise End("failed", "nothing is live: there is nothing to go back from")
        state = target["state"]
        if target["release"] == release:
            return f"{release} is {state}, and still the target"
        if state == "verified":
            raise End("restored", f"{target['release']} serves, verified {target['judged_at']}", release=target["release"])
        if state == "failed":
            raise End("failed", f"{target['release']}: {target['reason']}", release=target["release"])
        return f"{target['release']} is {state}"


def until_the_end(look, limit_s, period_s, clock=time.monotonic, sleep=time.sleep):
    """Looks until the end; says each change of the state."""
    begun, said = clock(), None
    while True:
        try:
            state = look()
        except End as end:
            return end
        except aws.Failed as failed:
            # One refused call of hundreds may be the network's; it counts when nothing better comes.
            state = f"can't be read: {failed}"
        if state != said:
            print(f"{aws.now()} {state}", file=sys.stderr, flush=True)
            said = state
        if clock() - begun >= limit_s:
            return End("timeout", f"no end after {limit_s} s: {state}")
        sleep(period_s)


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in KINDS or not sys.argv[2]:
        sys.exit(__doc__)
    kind, name = sys.argv[1:]
    since = os.environ.get("SINCE") or aws.now()
    if name.endswith(".json"):
        with open(name) as file:
            noted = json.load(file)
        name, since = noted["name"], noted["since"]
    follower = Follower(aws.Place.here(), since)
    limit_s = int(os.environ.get("FOLLOW_LIMIT_S") or limits_s(follower.place.environment, json.loads(SETTINGS.read_text()))[kind])
    period_s = float(os.environ.get("FOLLOW_PERIOD_S") or 10)
    end = until_the_end(lambda: getattr(follower, kind)(name), limit_s, period_s)
    environment = follower.place.environment
    report = {"followed": kind, "name": name, "environment": environment, "outcome": end.outcome, "reason": end.reason,
              "since": since, "ended": aws.now(), "release": follower.release}
    aws.write_report(os.environ.get("REPORT") or f"target/ci/follow-{kind}.json", report | end.facts)
    aws.summarise(f"{environment}: {kind} {name}: **{end.outcome}**: {end.reason}")
    sys.exit(0 if end.outcome in GOOD else 1)


if __name__ == "__main__":
    main()

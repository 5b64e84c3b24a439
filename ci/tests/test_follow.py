"""How each end of the chain is told."""

import io
import json
import re
import unittest
from contextlib import redirect_stderr
from pathlib import Path

import aws
import follow

IMAGE = "sha256:" + "1" * 64
PACKAGE = "arn:aws:sagemaker:ap-southeast-1:123456789012:model-package/retail-forecast-models/7"
JOB = "retail-forecast-build-17-0a1b2c3"
POINTER = "environments/prod/pointer.json"
SUBJECT = f"123456789012.dkr.ecr.ap-southeast-1.amazonaws.com/retail-forecast-infer@{IMAGE}"
SKIPPED = f"decisions/deploy-release/skipped-{aws.short_digest(SUBJECT)}-0a.json"


class Folder(aws.Place):
    """A place whose bucket is a dictionary."""

    def __init__(self, **objects):
        super().__init__("prod", "ap-southeast-1", "123456789012")
        self.objects = objects

    def record(self, key):
        return self.objects.get(key)

    def records(self, prefix, since):
        return [value for key, value in self.objects.items() if key.startswith(prefix)]


def manifest(image="sha256:0", job="other"):
    return {"image": {"digest": image}, "model": {"training_job": job, "package_arn": PACKAGE}}


def target(state, release="release-a", **more):
    return {"target": {"release": release, "state": state, "judged_at": "2026-11-02T08:00:00Z", "cause": "an alarm"} | more}


def end(kind, name, *looks, packages=()):
    """The outcome after these states of the bucket, one for each look."""
    follower, states = follow.Follower(Folder(), ""), list(looks)
    follower.package = lambda job: next(iter(packages), None)

    def look():
        follower.place.objects = states.pop(0) if len(states) > 1 else states[0]
        return getattr(follower, kind)(name)

    seconds = iter(range(1000))
    with redirect_stderr(io.StringIO()):
        return follow.until_the_end(look, 20, 0, clock=lambda: next(seconds), sleep=lambda _: None)


class Follow(unittest.TestCase):
    def image(self, outcome, *looks):
        found = end("image", IMAGE, *looks)
        self.assertEqual(found.outcome, outcome, found.reason)
        return found

    def test_deployed(self):
        ours = {"releases/release-a.json": manifest(IMAGE)}
        self.image("verified", {}, {POINTER: target("deploying")} | ours, {POINTER: target("verified")} | ours)
        failed = self.image("failed", {POINTER: target("failed", reason="health: status 503")} | ours)
        self.assertIn("status 503", failed.reason)

    def test_rolled_back_at_once(self):
        ours = {"releases/release-a.json": manifest(IMAGE), "releases/release-b.json": manifest()}
        restoring = target("restoring", "release-b") | {}
        restoring["target"]["from"] = "release-a"
        self.image("rolled-back", {POINTER: target("deploying")} | ours, {POINTER: restoring} | ours)
        verdict = {"decisions/verify-release/release-a-1.json": {"decision": "failed", "failed": {"stage": "rollout", "reason": "0 of 2"}}}
        self.image("failed", {POINTER: target("deploying")} | ours, {POINTER: target("verified", "release-b")} | ours | verdict)

    def test_a_canary(self):
        both = {"releases/release-a.json": manifest(IMAGE), "releases/release-b.json": manifest()}
        tried_out = {POINTER: target("canary", pods=1, of=3)} | both
        self.image("verified", tried_out, {POINTER: target("deploying")} | both, {POINTER: target("verified")} | both)
        failed = self.image("failed", tried_out, {POINTER: target("failed", reason="canary: 9 % of its requests failed")} | both)
        self.assertIn("canary: 9 %", failed.reason)
        # What is live came back between two looks: there was no rollout, and so no verdict on one.
        for field in ("gone_from", "abandoned"):
            back = {POINTER: target("verified", "release-b", **{field: "release-a"})} | both
            self.assertIn("an alarm", self.image("rolled-back", tried_out, back).reason)

    def test_superseded(self):
        both = {"releases/release-a.json": manifest(IMAGE), "releases/release-b.json": manifest()}
        verdict = {"decisions/verify-release/release-a-1.json": {"decision": "verified", "verified": {}}}
        self.image("superseded", {POINTER: target("deploying")} | both, {POINTER: target("deploying", "release-b")} | both | verdict)

    def test_not_deployed(self):
        other = {POINTER: target("verified"), "releases/release-a.json": manifest()}
        why = {SKIPPED: {"decision": "skip", "subject": SUBJECT, "reason": "1 CRITICAL"}}
        self.assertEqual(self.image("not-deployed", other | why).reason, "1 CRITICAL")
        # A new environment: the image waits for the first model, and the run didn't fail.
        self.assertIn(self.image("waits", why).outcome, follow.GOOD)

    def test_no_end(self):
        self.assertIn("nothing is deployed", self.image("timeout", {}).reason)
        self.assertNotIn("timeout", follow.GOOD)

    def test_a_refused_call_is_not_an_end(self):
        follower = follow.Follower(Folder(), "")

        def refused(key):
            raise aws.Failed("s3api get-object: AccessDenied")

        follower.place.record = refused
        seconds = iter(range(100))
        with redirect_stderr(io.StringIO()):
            found = follow.until_the_end(lambda: follower.image(IMAGE), 5, 0, clock=lambda: next(seconds), sleep=lambda _: None)
        self.assertEqual(found.outcome, "timeout")
        self.assertIn("AccessDenied", found.reason)

    def test_training(self):
        def training(outcome, *looks, packages=()):
            found = end("training", "build-17-0a1b2c3", *looks, packages=packages)
            self.assertEqual(found.outcome, outcome, found.reason)

        judged = f"evaluations/{JOB}/judgement.json"
        failure = {"failed_job": JOB, "status": "Stopped", "reason": "MaxRuntimeExceeded"}
        training("failed", {}, {f"decisions/start-evaluation/{JOB}-1.json": {"decision": "training-failed", "failure": failure}})
        training("waits", {"environments/prod/held-evaluation.json": {"training_jobs": [JOB]}})
        training("kept", {judged: {"verdict": "fail", "reason": "rmse 9 > 8"}})
        approved = {"ModelPackageArn": PACKAGE, "ModelApprovalStatus": "Approved"}
        passed = {judged: {"verdict": "pass", "reason": ""}, "releases/release-a.json": manifest(job=JOB)}
        training("verified", passed, passed | {POINTER: target("verified")}, packages=[approved])
        training("waits", passed, packages=[approved | {"ModelApprovalStatus": "PendingManualApproval"}])

    def test_rollback(self):
        self.assertEqual(end("rollback", "release-a", {POINTER: target("verified")}, {POINTER: target("restoring", "release-b")},
                             {POINTER: target("verified", "release-b")}).outcome, "restored")
        self.assertEqual(end("rollback", "release-a", {POINTER: target("failed", "release-b", reason="x")}).outcome, "failed")
        self.assertEqual(end("rollback", "release-a", {POINTER: target("verified")}).outcome, "timeout")


class Limits(unittest.TestCase):
    settings = json.loads(follow.SETTINGS.read_text())

    def test_they_are_the_chains(self):
        self.assertEqual(follow.limits_s("dev", self.settings), {"image": 2700, "training": 12600, "rollback": 1800})
        # A canary besides: 600 s for its pods, 3,600 s for enough requests.
        self.assertEqual(follow.limits_s("prod", self.settings), {"image": 6900, "training": 16800, "rollback": 1800})

    def test_jobs_and_their_credentials_live_longer(self):
        home = Path(__file__).parent.parent.parent
        jobs = re.split(r"^  (\w+):$", (home / ".github/workflows/release.yml").read_text(), flags=re.MULTILINE)
        jobs = dict(zip(jobs[1::2], jobs[2::2]))
        session = int(re.search(r"max_session_s *= (\d+)", (home / "infra/modules/system/pipelines.tf").read_text())[1])
        limits = follow.limits_s("prod", self.settings)
        # With the load test, the way back, and ten minutes for the rest.
        for job, needed in (("deploy", limits["image"] + 300 + limits["rollback"] + 600), ("train", limits["training"] + 600)):
            self.assertGreaterEqual(60 * int(re.search(r"timeout-minutes: (\d+)", jobs[job])[1]), needed, job)
            credentials = int(re.search(r"role-duration-seconds: (\d+)", jobs[job])[1])
            self.assertGreaterEqual(credentials, needed, job)
            self.assertGreaterEqual(session, credentials, job)


class Names(unittest.TestCase):
    def test_digests_are_the_functions(self):
        # What `deploy-release` named its record of this subject, on the local cloud.
        digest = "7c90efc1c2d4506f0edc80d3b572e3333aaaed514fe462a869aaad18e72ee273"
        subject = f"000000000000.dkr.ecr.ap-southeast-1.amazonaws.com/retail-forecast-infer@sha256:{digest}"
        self.assertEqual(aws.short_digest(subject), "3077af80efd5")


if __name__ == "__main__":
    unittest.main()

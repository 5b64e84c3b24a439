"""Requests, scans, pushes, load tests: what is refused, and what is asked for."""

import io
import json
import os
import re
import tarfile
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

import aws
import load_test
import notify
import push
import reports
import request
import scan


class Asked(aws.Place):
    """A place that notes the calls of the AWS CLI."""

    def __init__(self, **objects):
        super().__init__("prod", "ap-southeast-1", "123456789012")
        self.objects = objects

    def record(self, key):
        return self.objects.get(key)

    def tagged(self, name, tag):
        return self.objects.get(f"{name}:{tag}")


class Requests(unittest.TestCase):
    def asked(self, what, place, **variables):
        calls = []

        def call(*arguments):
            calls.append(arguments)
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}

        with tempfile.TemporaryDirectory() as folder, mock.patch.object(aws, "call", call), redirect_stdout(io.StringIO()):
            with mock.patch.dict(os.environ, variables | {"NOTE": f"{folder}/note.json"}, clear=True):
                what(place)
            note = json.loads(Path(folder, "note.json").read_text())
        (service, verb, _, entries), = calls
        self.assertEqual((service, verb), ("events", "put-events"))
        entry, = json.loads(entries)
        return entry, json.loads(entry["Detail"]), note

    def test_retrain(self):
        place = Asked(**{"datasets/newest.json": {"dataset": "5f4dcc3b5aa7", "to": "2026-10-31"}})
        entry, detail, note = self.asked(request.retrain, place, BUILD_ID="build-17-0a1b2c3", REQUESTED_BY="GitHubActions")
        self.assertEqual((entry["Source"], entry["DetailType"], entry["EventBusName"]), ("retail-forecast", "RetrainRequested", "retail-forecast-prod"))
        sample = Path(__file__).parents[2] / "events/samples/retrain-requested/by-a-pipeline.json"
        self.assertEqual(set(detail), set(json.loads(sample.read_text())["detail"]))
        self.assertEqual((detail["build_id"], detail["dataset"]), ("build-17-0a1b2c3", "5f4dcc3b5aa7"))
        self.assertEqual(note["name"], "build-17-0a1b2c3")

    def test_retrain_needs_data(self):
        with self.assertRaisesRegex(SystemExit, "no accepted data"):
            request.retrain(Asked())

    def test_rollback(self):
        variables = {"RELEASE": "release-a", "BUILD_ID": "build-17-0a1b2c3", "REQUESTED_BY": "Jenkins", "REASON": "slow"}
        entry, detail, _ = self.asked(request.rollback, Asked(), **variables)
        self.assertEqual(entry["DetailType"], "RollbackRequested")
        sample = Path(__file__).parents[2] / "events/samples/rollback-requested/by-a-person.json"
        self.assertEqual(set(detail), set(json.loads(sample.read_text())["detail"]))
        # The same request twice is the same fact.
        self.assertEqual(detail["id"], self.asked(request.rollback, Asked(), **variables)[1]["id"])

    def test_deployment(self):
        variables = {"BUILD_ID": "build-17-0a1b2c3", "REQUESTED_BY": "Jenkins"}
        entry, detail, note = self.asked(request.deploy, Asked(**{"infer:latest-prod": "sha256:1"}), **variables)
        self.assertEqual(entry["DetailType"], "DeploymentRequested")
        sample = Path(__file__).parents[2] / "events/samples/deployment-requested/by-a-pipeline.json"
        self.assertEqual(set(detail), set(json.loads(sample.read_text())["detail"]))
        self.assertEqual((detail["image"], note["name"]), ("sha256:1", "sha256:1"))
        with self.assertRaisesRegex(SystemExit, "prod has no image"):
            request.deploy(Asked())

    def test_a_pipeline_may_put_what_it_asks_for_and_nothing_else(self):
        policy = json.loads((Path(__file__).parents[2] / "infra/policies/roles/pipeline.json").read_text())
        statement, = (statement for statement in policy["Statement"] if "events:PutEvents" in statement["Action"])
        asked = re.findall(r'announce\("(\w+)"', Path(request.__file__).read_text())
        self.assertEqual(statement["Condition"], {"StringEquals": {"events:source": "retail-forecast", "events:detail-type": sorted(asked)}})

    def test_no_rollback_without_a_release(self):
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()) as said:
            path = Path(folder, "follow-image.json")
            for content in (None, {"release": None}):
                if content:
                    path.write_text(json.dumps(content))
                with mock.patch.dict(os.environ, {"FOLLOW_REPORT": str(path)}, clear=True):
                    with self.assertRaises(SystemExit) as ended:
                        request.rollback(Asked())
                self.assertEqual(ended.exception.code, 0)
        self.assertIn("nothing to go back from", said.getvalue())


def archive(path, **labels):
    """An OCI archive without layers; its digest."""
    import hashlib
    blobs = {}

    def blob(value):
        data = json.dumps(value).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        blobs["blobs/" + digest.replace(":", "/")] = data
        return {"digest": digest, "size": len(data)}

    image = blob({"config": blob({"config": {"Labels": labels}}), "layers": []})
    blobs["index.json"] = json.dumps({"manifests": [image]}).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in blobs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return image["digest"]


class Pushes(unittest.TestCase):
    def checked(self, reason, record=None, **labels):
        with tempfile.TemporaryDirectory() as folder:
            image, note = f"{folder}/infer.tar", f"{folder}/infer.scan.json"
            digest = archive(image, **{"org.opencontainers.image.version": "build-1-0a1b2c3"} | labels)
            if record is not None:
                Path(note).write_text(json.dumps({"digest": digest, "findings": {}} | record))
            if reason is None:
                return self.assertEqual(push.checked(image, note, "build-1-0a1b2c3"), digest)
            with self.assertRaisesRegex(SystemExit, reason):
                push.checked(image, note, "build-1-0a1b2c3")

    def test_only_what_was_scanned_clean_is_pushed(self):
        self.checked(None, record={"findings": {"LOW": 3, "HIGH": 0}})
        self.checked("wasn't scanned")
        self.checked("is about sha256:0", record={"digest": "sha256:0"})
        self.checked("has findings", record={"findings": {"HIGH": 1}})
        self.checked("is build build-2", record={}, **{"org.opencontainers.image.version": "build-2"})
        self.checked("stand-in", record={}, **{"retail-forecast.stand-in": "true"})


    def push(self, tagged, live=None):
        """The tags that are pushed when the build's tag is on this image already, the environment's on another;
        and whether the deployment is asked for."""
        calls, copied, tags = [], [], {"imageTag=build-1-0a1b2c3": tagged, "imageTag=latest-prod": live}

        def call(*arguments):
            calls.append(arguments[1])
            found = tags.get(arguments[-1])
            if arguments[1] == "describe-images" and found is None:
                raise aws.Failed("aws ecr describe-images: An error occurred (ImageNotFoundException)")
            return {"authorizationData": [{"authorizationToken": "x"}], "imageDetails": [{"imageDigest": found}], "Entries": [{"EventId": "1"}]}

        variables = {"ENVIRONMENT": "prod", "AWS_ACCOUNT_ID": "123456789012", "BUILD_ID": "build-1-0a1b2c3", "PATH": os.environ["PATH"], "REQUESTED_BY": "Jenkins"}
        with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(aws, call=call), redirect_stdout(io.StringIO()), \
                mock.patch.dict(os.environ, variables | {"OUT": folder, "NOTE": f"{folder}/note.json"}, clear=True), mock.patch.object(push.sys, "argv", ["", "infer"]), \
                mock.patch.object(push, "checked", lambda *_: "sha256:1"), mock.patch.object(push.shutil, "which", lambda _: "skopeo"), \
                mock.patch.object(push, "copy", lambda archive, target, login: copied.append(target.rpartition(":")[2])):
            push.main()
            self.assertFalse(Path(folder, "infer.login.json").exists())
        self.assertLess(calls.index("put-object"), calls.index("get-authorization-token"))
        return copied, "put-events" in calls

    def test_the_environments_tag_is_the_first_and_a_builds_tag_is_never_moved(self):
        self.assertEqual(self.push(None, "sha256:0"), (["latest-prod", "build-1-0a1b2c3"], False))
        self.assertEqual(self.push("sha256:1"), (["latest-prod"], False))
        with self.assertRaisesRegex(SystemExit, "is sha256:2 already"):
            self.push("sha256:2")


    def test_what_the_environment_has_already_makes_no_event_and_is_asked_for(self):
        self.assertEqual(self.push("sha256:1", "sha256:1"), (["latest-prod"], True))


class Scans(unittest.TestCase):
    def test_findings_are_counted_and_the_stopping_ones_named(self):
        finding = {"VulnerabilityID": "CVE-1", "PkgName": "openssl", "InstalledVersion": "3"}
        report = {"Results": [{"Vulnerabilities": [finding | {"Severity": "HIGH"}, finding | {"Severity": "LOW"}]}, {}]}
        counts, stopping = scan.findings(report)
        self.assertEqual(counts, {"HIGH": 1, "LOW": 1})
        self.assertEqual(stopping, ["HIGH CVE-1 openssl 3, no fix yet"])
        self.assertEqual(scan.findings({}), ({}, []))


class Loads(unittest.TestCase):
    def figures(self, latencies, errors=0, **limits):
        user = load_test.User(None, 0, 0, 0)
        user.latencies_ms = latencies
        user.errors["status 503"] += errors
        return load_test.figures([user], 10, limits.get("errors", 5), limits.get("p95", 1000))

    def test_percentiles(self):
        report = self.figures([float(value) for value in range(1, 101)])
        self.assertEqual((report["latency_ms"]["p95"], report["latency_ms"]["p99"], report["latency_ms"]["max"]), (95, 99, 100))
        self.assertEqual(self.figures([7.0])["latency_ms"]["p95"], 7)

    def test_limits(self):
        self.assertTrue(self.figures([10.0] * 100, errors=5)["passed"])
        self.assertIn("6.00 % of the requests failed", self.figures([10.0] * 100, errors=6)["missed"][0])
        self.assertIn("p95 is 1001.0 ms", self.figures([1001.0] * 100)["missed"][0])
        self.assertIsNone(self.figures([]))


class Notices(unittest.TestCase):
    def test_people_get_text_and_slack_gets_what_its_service_takes(self):
        calls = []
        variables = {"ENVIRONMENT": "prod", "AWS_ACCOUNT_ID": "123456789012", "BUILD_ID": "build-17-0a1b2c3", "REASON": "slow"}
        with mock.patch.object(aws, "call", lambda *arguments: calls.append(arguments)), redirect_stdout(io.StringIO()), \
                mock.patch.dict(os.environ, variables, clear=True):
            notify.main()
        asked = dict(zip(calls[0][2::2], calls[0][3::2]))
        self.assertEqual(asked["--message-structure"], "json")
        message = json.loads(asked["--message"])
        self.assertIn("Reason: slow", message["default"].splitlines())
        self.assertEqual(json.loads(message["https"]), {
            "version": "1.0", "source": "custom",
            "content": {"title": "Retail Forecast Deployment: failure", "description": message["default"]}})


class Reports(unittest.TestCase):
    def test_the_release_says_which(self):
        model = {"dataset": "5f", "training_job": "job-1"}
        keys = reports.keys({"manifest": {"model": model}})
        self.assertEqual(keys[:2], ["datasets/5f/validation_report.json", "evaluations/job-1/evaluation_results.json"])
        self.assertIn("evaluations/job-2/judgement.json", reports.keys({"training_job": "job-2"}))
        self.assertEqual(reports.keys({}), [])

    def test_a_push_that_failed_was_not_followed(self):
        with mock.patch("sys.argv", ["reports.py", "nowhere/follow-image.json", "reports"]), redirect_stdout(io.StringIO()) as said:
            reports.main()
        self.assertIn("nothing was followed", said.getvalue())


if __name__ == "__main__":
    unittest.main()

"""What a run does, for each trigger."""

import unittest

import plan

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
CODE = ["shared/domain/src/lib.rs"]


def steps(files=CODE, **variables):
    """The steps that are taken, sorted, and the environment."""
    result = plan.plan({"EVENT": "push", "BRANCH": "main", "COMMIT": COMMIT, "RUN_NUMBER": "17"} | variables, files)
    taken = sorted(name for name, value in result.items() if value == "true")
    return result["environment"], taken, result["publish"]


class Plan(unittest.TestCase):
    def test_branches_are_environments(self):
        deploys = ["code", "deploy", "images", "load_test"]
        self.assertEqual(steps(), ("prod", deploys, "train infer"))
        self.assertEqual(steps(BRANCH="develop"), ("staging", ["code", "deploy", "images"], "train infer"))
        self.assertEqual(steps(BRANCH="feature/x"), ("dev", ["code", "images"], ""))

    def test_a_pull_request_is_checked_and_nothing_else(self):
        self.assertEqual(steps(EVENT="pull_request", BRANCH="feature/x"), ("dev", ["code"], ""))
        # Whatever the branch is called: a fork's branch may be called main.
        self.assertEqual(steps(EVENT="pull_request", BRANCH="main"), ("dev", ["code"], ""))
        self.assertEqual(steps(EVENT="pull_request", RETRAIN_MODEL="true", DEPLOY_ONLY="true"), ("dev", ["code"], ""))

    def test_only_what_changed_is_looked_at(self):
        self.assertEqual(steps(["README.md", "model/README.md", "LICENSE"]), ("prod", [], ""))
        self.assertEqual(steps(["infra/modules/vpc/main.tf"])[1], ["infra"])
        self.assertEqual(steps(["Jenkinsfile"])[1], ["pipelines"])
        self.assertEqual(steps(["infra/k8s/components/eks/ingress.yaml"])[1], ["infra", "manifests", "pipelines"])
        self.assertEqual(steps(["functions/notify/src/lib.rs"])[1], ["code"])
        self.assertEqual(steps(["images/infer/Dockerfile"], BRANCH="x")[1], ["images", "pipelines"])
        # The local cloud applies the base in its tests.
        self.assertIn("code", steps(["infra/k8s/base/deployment.yaml"])[1])

    def test_what_changed_is_unknown(self):
        everything = ["code", "deploy", "images", "infra", "load_test", "manifests", "pipelines"]
        self.assertEqual(steps(None)[1], everything)

    def test_dispatch(self):
        dispatch = {"EVENT": "dispatch", "BRANCH": "feature/x"}
        checks = ["code", "images", "infra", "pipelines"]
        self.assertEqual(steps(**dispatch), ("dev", checks, ""))
        self.assertEqual(steps(**dispatch, RETRAIN_MODEL="true"), ("dev", sorted([*checks, "retrain"]), "train"))
        deploys = ["deploy", "images", "manifests"]
        self.assertEqual(steps(**dispatch, DEPLOY_ONLY="true"), ("dev", deploys, "train infer"))
        self.assertEqual(steps(**dispatch, DEPLOY="true", SKIP_TESTS="true"), ("dev", deploys, "train infer"))
        self.assertEqual(steps(**dispatch, DISPATCH_ENVIRONMENT="staging", DEPLOY_ONLY="true")[0], "staging")
        prod = {"EVENT": "dispatch", "BRANCH": "main", "DISPATCH_ENVIRONMENT": "prod"}
        self.assertEqual(steps(**prod, RETRAIN_MODEL="true")[1], sorted([*checks, "deploy", "load_test", "manifests", "retrain"]))

    def test_the_build_id(self):
        result = plan.plan({"EVENT": "push", "BRANCH": "main", "COMMIT": COMMIT, "RUN_NUMBER": "17"}, CODE)
        self.assertEqual(result["build_id"], "build-17-0a1b2c3")

    def test_what_can_not_be_meant_is_refused(self):
        for reason, variables in (
            ("EVENT", {"EVENT": "release"}),
            ("COMMIT", {"COMMIT": "0a1b2c3"}),
            ("RUN_NUMBER", {"RUN_NUMBER": "17; rm"}),
            ("prod is built from main", {"EVENT": "dispatch", "BRANCH": "x", "DISPATCH_ENVIRONMENT": "prod"}),
            ("the environment is `qa`", {"EVENT": "dispatch", "DISPATCH_ENVIRONMENT": "qa"}),
            ("RETRAIN_MODEL is `yes`", {"EVENT": "dispatch", "RETRAIN_MODEL": "yes"}),
            ("trains nothing", {"EVENT": "dispatch", "RETRAIN_MODEL": "true", "DEPLOY_ONLY": "true"}),
        ):
            with self.assertRaisesRegex(plan.Refused, reason):
                steps(**variables)


if __name__ == "__main__":
    unittest.main()

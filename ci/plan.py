"""What a pipeline run does: from the trigger and what changed, as `name=value` lines.

One place for both pipelines, so that they can't differ. Read from the environment:

EVENT          `pull_request`, `push` or `dispatch`
BRANCH         the branch (of a pull request: the one it comes from)
COMMIT         full commit id
RUN_NUMBER     the pipeline's run number
BASE           the commit to compare with; empty or unknown: everything counts as changed
DISPATCH_ENVIRONMENT, RETRAIN_MODEL, DEPLOY_ONLY   the inputs of a dispatch
SKIP_TESTS     leave lint and tests out
"""

import os
import re
import subprocess
import sys

ENVIRONMENTS = ("dev", "staging", "prod")

# What a file belongs to, by the start of its path. Documentation belongs to nothing.
PARTS = {
    "code": ("Cargo.", "clippy.toml", "functions/", "shared/", "model/", "local/", "cli/", "tests/", "events/",
             "infra/functions.json", "infra/policies/", "infra/k8s/base/", "Makefile", ".ci/"),
    "image": ("Cargo.", "shared/aws/", "shared/domain/", "shared/dataset/", "model/", "images/", "ci/image", "ci/ci.mk"),
    "infra": ("infra/", "events/patterns/", "Makefile"),
    "manifests": ("infra/k8s/",),
    "pipelines": (".github/", "Jenkinsfile", "ci/", "images/", "infra/k8s/", "Makefile"),
}
DOCUMENTATION = re.compile(r"\.md$|^LICENSE$|^\.gitignore$")


class Refused(Exception):
    """An input that can't be meant."""


def truth(variables, name):
    value = variables.get(name, "").strip().lower()
    if value not in ("", "true", "false"):
        raise Refused(f"{name} is `{value}`: true or false expected")
    return value == "true"


def changed_parts(files):
    """The parts that changed; all of them when it isn't known (`None`)."""
    if files is None:
        return set(PARTS)
    files = [file for file in files if not DOCUMENTATION.search(file)]
    return {part for part, starts in PARTS.items() if any(file.startswith(starts) for file in files)}


def plan(variables, files):
    """The plan as a dictionary of strings."""
    event = variables.get("EVENT", "")
    if event not in ("pull_request", "push", "dispatch"):
        raise Refused(f"EVENT is `{event}`: pull_request, push or dispatch expected")
    branch = variables.get("BRANCH", "")
    commit = variables.get("COMMIT", "")
    run = variables.get("RUN_NUMBER", "")
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise Refused(f"COMMIT is `{commit}`: 40 hexadecimal digits expected")
    if not re.fullmatch(r"[0-9]{1,9}", run):
        raise Refused(f"RUN_NUMBER is `{run}`: a number expected")

    environment = {"main": "prod", "develop": "staging"}.get(branch, "dev")
    dispatched = event == "dispatch"
    retrain = dispatched and truth(variables, "RETRAIN_MODEL")
    deploy_only = dispatched and truth(variables, "DEPLOY_ONLY")
    if dispatched:
        environment = variables.get("DISPATCH_ENVIRONMENT", "") or "dev"
        if environment not in ENVIRONMENTS:
            raise Refused(f"the environment is `{environment}`: one of {', '.join(ENVIRONMENTS)} expected")
        if environment == "prod" and branch != "main":
            raise Refused(f"prod is built from main, and this is {branch}")
        if retrain and deploy_only:
            raise Refused("deploy_only trains nothing: leave either deploy_only or retrain_model out")
    if event == "pull_request":
        environment = "dev"

    # Somebody who dispatches wants everything, whatever the last commit changed.
    changed = set(PARTS) if dispatched else changed_parts(files)
    checked = not deploy_only and not truth(variables, "SKIP_TESTS")
    follows_branch = (branch, environment) in (("main", "prod"), ("develop", "staging"))
    images = event != "pull_request" and "image" in changed
    deploy = deploy_only or (dispatched and truth(variables, "DEPLOY")) or (images and follows_branch)
    steps = {
        "code": checked and "code" in changed,
        "infra": checked and "infra" in changed,
        "pipelines": checked and "pipelines" in changed,
        "images": images,
        "manifests": (dispatched and deploy) or (event != "pull_request" and "manifests" in changed and follows_branch),
        "deploy": deploy,
        "retrain": retrain,
        "load_test": deploy and environment == "prod",
    }
    return {
        "environment": environment,
        "build_id": f"build-{run}-{commit[:7]}",
        # Which images get the environment's tag: the inference image's is what deploys it.
        "publish": " ".join(name for name, wanted in (("train", deploy or retrain), ("infer", deploy)) if wanted),
    } | {name: str(wanted).lower() for name, wanted in steps.items()}


def changed_files(base, commit):
    """Files that differ from `base`; `None` when that can't be told."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", base) or base == "0" * 40:
        return None
    # Three dots: what this branch changed, and not what the other one did meanwhile.
    found = subprocess.run(["git", "diff", "--name-only", f"{base}...{commit}"], capture_output=True, text=True)
    if found.returncode != 0:
        print(f"{base} isn't in this clone: everything counts as changed", file=sys.stderr)
        return None
    return found.stdout.splitlines()


def main():
    variables = dict(os.environ)
    try:
        files = changed_files(variables.get("BASE", ""), variables.get("COMMIT", ""))
        result = plan(variables, files)
    except Refused as refused:
        sys.exit(f"refused: {refused}")
    for name, value in result.items():
        print(f"{name}={value}")


if __name__ == "__main__":
    main()

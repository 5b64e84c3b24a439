"""Asks the event chain for something, by an event of ours on the environment's bus.

    request.py retrain    trains a model on the newest accepted data (BUILD_ID names the job)
    request.py deploy     deploys the image that carries the environment's tag, with the live model: for an image that
                          is there already, which makes no event of ECR's
    request.py rollback   goes back from RELEASE to what is known good (REASON says why); FOLLOW_REPORT, what
                          follow.py wrote of a release, names it as well

ENVIRONMENT, AWS_REGION   which environment
NOTE                      file that notes for follow.py what was asked when (target/ci/NAME.json)
BUILD_ID                  the pipeline's build id; tells this request from others
REQUESTED_BY              who asks (GitHubActions, Jenkins, a person)
"""

import json
import os
import sys

import aws


def needed(name):
    value = os.environ.get(name, "")
    if not value:
        sys.exit(f"{name} isn't set")
    return value


def note(kind, name, since):
    aws.write_report(os.environ.get("NOTE") or f"target/ci/{kind}.json", {"name": name, "since": since})


def retrain(place):
    """`RetrainRequested`; the build id becomes the training job's name."""
    newest = place.record("datasets/newest.json")
    if not newest:
        sys.exit(f"{place.environment} has no accepted data: upload some under training/ of the data bucket")
    dataset, build = newest["dataset"], needed("BUILD_ID")
    detail = {"dataset": dataset, "request": build, "build_id": build, "requested_by": needed("REQUESTED_BY"),
              "reason": os.environ.get("REASON") or "a pipeline run with retrain_model"}
    since = aws.now()
    place.announce("RetrainRequested", f"{dataset} {build}", detail)
    note("retrain", build, since)
    aws.summarise(f"{place.environment}: asked for `retail-forecast-{build}` on the data {dataset} (to {newest['to']})")


def deploy(place):
    """`DeploymentRequested` for the image that has the environment's tag."""
    tag = f"latest-{place.environment}"
    digest = place.tagged("infer", tag)
    if not digest:
        sys.exit(f"{place.environment} has no image: none in retail-forecast-infer is tagged {tag}")
    ask_for(place, digest, os.environ.get("REASON") or "a person asked for the image that is there")


def ask_for(place, digest, reason):
    """The chain answers whoever asks: by a deployment, or by why there is none."""
    build = needed("BUILD_ID")
    detail = {"image": digest, "request": build, "by": needed("REQUESTED_BY"), "reason": reason}
    since = aws.now()
    place.announce("DeploymentRequested", f'Some("{digest}") {build}', detail)
    note("deploy", digest, since)
    aws.summarise(f"{place.environment}: asked to deploy {digest}: {reason}")


def followed():
    """The release that was followed; ends rightly when nothing was deployed."""
    path = needed("FOLLOW_REPORT")
    release = None
    if os.path.exists(path):
        with open(path) as file:
            release = json.load(file).get("release")
    if not release:
        print(f"nothing to go back from: {path} names no release")
        sys.exit(0)
    return release


def rollback(place):
    """`RollbackRequested` for one release: nothing happens when another one is live."""
    release, build = os.environ.get("RELEASE") or followed(), needed("BUILD_ID")
    detail = {"release": release, "request": build, "by": needed("REQUESTED_BY"), "reason": needed("REASON")}
    since = aws.now()
    place.announce("RollbackRequested", f'Some("{release}") {build}', detail)
    note("rollback", release, since)
    aws.summarise(f"{place.environment}: asked to go back from {release}: {detail['reason']}")


def main():
    requests = {"retrain": retrain, "deploy": deploy, "rollback": rollback}
    if len(sys.argv) != 2 or sys.argv[1] not in requests:
        sys.exit(__doc__)
    try:
        requests[sys.argv[1]](aws.Place.here())
    except aws.Failed as failed:
        sys.exit(str(failed))


if __name__ == "__main__":
    main()

"""Pushes a scanned image to ECR: its scan's record, then `latest-{environment}`, then `{build-id}`.

    push.py train|infer

The environment's tag comes before the build's: ECR scans an image once, when its first tag arrives, and
the scan's event starts the deployment by the tag of the environment. What is pushed is what was scanned,
byte by byte: the digest is that of the record. A build's tag is immutable, so it is looked at first. An image that
the environment has already makes no event: then the deployment is asked for by one of ours.

ENVIRONMENT, AWS_REGION, BUILD_ID, REQUESTED_BY, OUT (target/images)
"""

import json
import os
import shutil
import subprocess
import sys

import aws
import layers
import request


def copy(archive, target, login):
    """What was scanned, byte by byte, under another name."""
    command = ["skopeo", "copy", "--quiet", "--preserve-digests", f"oci-archive:{archive}", f"docker://{target}"]
    subprocess.run(command, check=True, env=os.environ | {"REGISTRY_AUTH_FILE": login})


def log_in(place, path):
    """A login for ECR, good for twelve hours, in a file for skopeo."""
    answer = aws.call("ecr", "get-authorization-token", "--region", place.region)
    token = answer["authorizationData"][0]["authorizationToken"]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"auths": {place.registry: {"auth": token}}}, file)
    return path


def checked(archive, record_path, build_id):
    """The archive's digest, if it may be pushed."""
    image = layers.Archive(archive)
    if image.labels.get("retail-forecast.stand-in"):
        sys.exit(f"{archive} stands on a stand-in base: it is for trying the build only")
    if image.labels.get("org.opencontainers.image.version") != build_id:
        sys.exit(f"{archive} is build {image.labels.get('org.opencontainers.image.version')}, and not {build_id}")
    if not os.path.exists(record_path):
        sys.exit(f"{archive} wasn't scanned: there is no {record_path}")
    with open(record_path) as file:
        record = json.load(file)
    if record["digest"] != image.digest:
        sys.exit(f"{record_path} is about {record['digest']}, and {archive} is {image.digest}")
    if any(record["findings"].get(severity) for severity in ("CRITICAL", "HIGH")):
        sys.exit(f"{archive} has findings: {record['findings']}")
    return image.digest


def main():
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in ("train", "infer"):
        sys.exit(__doc__)
    build_id = os.environ.get("BUILD_ID") or sys.exit("BUILD_ID isn't set")
    out = os.environ.get("OUT") or "target/images"
    archive, record = f"{out}/{name}.tar", f"{out}/{name}.scan.json"
    digest = checked(archive, record, build_id)
    if shutil.which("skopeo") is None:
        sys.exit("skopeo is missing (Debian: apt-get install skopeo)")
    place = aws.Place.here()
    login = f"{out}/{name}.login.json"
    since = aws.now()
    try:
        before = place.tagged(name, build_id)
        live = place.tagged(name, f"latest-{place.environment}")
        if before not in (None, digest):
            sys.exit(f"{build_id} is {before} already, and this is {digest}: start a new run, which has a new build id")
        aws.call("s3api", "put-object", "--bucket", place.bucket, "--key", f"scans/{digest.removeprefix('sha256:')}.json",
                 "--body", record, "--content-type", "application/json")
        log_in(place, login)
        repository = f"{place.registry}/retail-forecast-{name}"
        copy(archive, f"{repository}:latest-{place.environment}", login)
        if before is None:
            copy(archive, f"{repository}:{build_id}", login)
        if (name, live) == ("infer", digest):
            request.ask_for(place, digest, "a pipeline run gave the environment the image that it has")
    except (aws.Failed, subprocess.CalledProcessError) as failed:
        sys.exit(str(failed))
    finally:
        if os.path.exists(login):
            os.remove(login)
    aws.summarise(f"pushed `{repository}@{digest}` as `{build_id}` and `latest-{place.environment}`")
    aws.write_report(f"{out}/{name}.pushed.json", {"name": digest, "since": since, "repository": repository, "build_id": build_id})


if __name__ == "__main__":
    main()

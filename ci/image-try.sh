#!/usr/bin/env bash
# Runs the built images by SageMaker's contract, as their own user: `train` on made-up sales, then `serve`
# what it learnt, with nothing writable but what SageMaker mounts: image-try.sh BUILD_ID
set -euo pipefail
build=${1:?the build id}
work=$(mktemp -d)
containers=()
pid=
# shellcheck disable=SC2329 # the trap calls it
finish() {
  if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi
  for container in "${containers[@]}"; do buildah rm "$container" >/dev/null; done
  rm -rf "$work"
}
trap finish EXIT

# in_image NAME ARGUMENT…: what `docker run IMAGE ARGUMENT…` does, with /opt/ml mounted.
in_image() {
  local name=$1 container
  shift
  container=$(buildah from "localhost/retail-forecast-$name:$build")
  containers+=("$container")
  buildah run --isolation chroot --user "$(buildah inspect --format '{{.OCIv1.Config.User}}' "$container")" \
    --volume "$work/ml:/opt/ml" --env SERVE_PORT=18080 "$container" -- "$@"
}

mkdir -p "$work/ml/input/config" "$work/ml/input/data/train" "$work/ml/model" "$work/ml/output"
echo '{"n_estimators": "20"}' > "$work/ml/input/config/hyperparameters.json"
python3 - "$work/ml/input/data/train/sales.csv" <<'PYTHON'
import datetime, math, random, sys
random.seed(42)
with open(sys.argv[1], "w") as file:
    file.write("date,store,item,sales\n")
    for store in (1, 2):
        for item in (1, 2, 3):
            for n in range(500):
                day = datetime.date(2022, 1, 1) + datetime.timedelta(days=n)
                file.write(f"{day},{store},{item},{round(30 * (1 + 0.3 * math.sin(2 * math.pi * n / 7)) + random.random() * 5)}\n")
PYTHON
chmod -R a+rwX "$work"

in_image train train > "$work/train.log" 2>&1 || { cat "$work/train.log" >&2; exit 1; }
echo "train: $(du -b "$work/ml/model/model.json.gz" | cut -f1) bytes of model, written by user $(stat -c %u "$work/ml/model/model.json.gz")"
chmod -R a-w "$work/ml/model"

in_image infer serve > "$work/serve.log" 2>&1 &
pid=$!
for _ in $(seq 100); do
  if answer=$(python3 - 2>/dev/null <<'PYTHON'
import urllib.request
address = "http://127.0.0.1:18080"
print(urllib.request.urlopen(f"{address}/ping").status, end=" ")
body = b'{"store_id": 1, "item_id": 2, "date": "2023-06-15"}'
request = urllib.request.Request(f"{address}/predict", body, {"content-type": "application/json"})
print(urllib.request.urlopen(request).read().decode())
PYTHON
  ); then
    echo "serve: GET /ping $answer"
    pkill --signal TERM --parent "$pid" || true
    wait "$pid" || true
    exit 0
  fi
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.1
done
cat "$work/serve.log" >&2
exit 1

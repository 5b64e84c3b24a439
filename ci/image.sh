#!/usr/bin/env bash
# Builds one image as an OCI archive: image.sh train|infer
#
# BIN_DIR      folder of the static programs
# BUILD_ID, ENVIRONMENT, MODEL_URI, SOURCE   build arguments
# IMAGE_BASE   the base: a registry's image, or `stand-in` where none can be pulled
# IMAGE_USER   user and group that it runs as (65532:65532)
# OUT          folder of the results (target/images)
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?train or infer}
case $name in
  train) program=train ;;
  infer) program=serve ;;
  *) echo "image.sh: \`$name\` is neither train nor infer" >&2; exit 2 ;;
esac
: "${BIN_DIR:?the folder of the static programs}"
out=${OUT:-target/images}
base=${IMAGE_BASE:-public.ecr.aws/amazonlinux/amazonlinux:2023-minimal}
command -v buildah >/dev/null || { echo "buildah is missing (Debian: apt-get install buildah)" >&2; exit 3; }

context=$out/$name.context
rm -rf "$context"
install -D -m 0555 "$BIN_DIR/$program" "$context/rootfs/usr/local/bin/$program"
mkdir -p "$context/rootfs/usr/share/sbom"
python3 ci/sbom.py "$program" > "$context/rootfs/usr/share/sbom/$program.cdx.json"

if [ "$base" = stand-in ]; then
  base_image=$(OUT=$out ci/stand-in-base.sh)
  base_digest=none
else
  base_image=$(buildah pull --policy=always "$base")
  base_digest=$(buildah inspect --type image --format '{{.FromImageDigest}}' "$base_image")
fi

# The commit's time, so that the same commit makes the same layer.
epoch=$(git log -1 --format=%ct)
reference=localhost/retail-forecast-$name:${BUILD_ID:-none}
buildah build --quiet --format oci --timestamp "$epoch" --tag "$reference" \
  --build-arg BASE="$base_image" --build-arg BASE_NAME="$base" --build-arg BASE_DIGEST="$base_digest" \
  --build-arg BUILD_ID="${BUILD_ID:-none}" --build-arg ENV="${ENVIRONMENT:-dev}" \
  --build-arg MODEL_URI="${MODEL_URI:-}" --build-arg IMAGE_USER="${IMAGE_USER:-65532:65532}" \
  --build-arg REVISION="$(git rev-parse HEAD)" --build-arg SOURCE="${SOURCE:-unknown}" \
  --file "images/$name/Dockerfile" "$context" >/dev/null
rm -f "$out/$name.tar"
buildah push --quiet "$reference" "oci-archive:$out/$name.tar:${BUILD_ID:-none}"
python3 ci/layers.py "$out/$name.tar" --max-mb 15

#!/usr/bin/env bash
# Makes a base where none can be pulled, and prints its id: a small Debian by mmdebstrap or debootstrap,
# else an empty root. It shows that the Dockerfiles build and what they add; push.sh refuses it.
set -euo pipefail
out=${OUT:-target/images}
root=$out/stand-in.root
suite=${STAND_IN_SUITE:-stable}
mkdir -p "$out"
if [ ! -e "$root/etc/os-release" ]; then
  rm -rf "$root"
  if command -v mmdebstrap >/dev/null; then
    echo "stand-in base: Debian $suite by mmdebstrap" >&2
    mmdebstrap --variant=essential "$suite" "$root" >&2
  elif command -v debootstrap >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "stand-in base: Debian $suite by debootstrap" >&2
    debootstrap --variant=minbase "$suite" "$root" >&2
  else
    echo "stand-in base: an empty root (no mmdebstrap, no debootstrap as root)" >&2
    mkdir -p "$root/etc"
    echo 'ID=stand-in' > "$root/etc/os-release"
  fi
fi
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
buildah copy --quiet "$container" "$root" / >/dev/null
buildah config --label retail-forecast.stand-in=true "$container"
buildah commit --quiet --format oci --timestamp 0 "$container"

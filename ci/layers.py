"""Says how large an image's layers are, and refuses ours when it is larger than it may be.

    layers.py ARCHIVE [--max-mb N]

ARCHIVE is an OCI archive; our layer is its last one. Sizes are as the registry stores them.
"""

import argparse
import gzip
import json
import sys
import tarfile


class Archive:
    """An OCI image in a tar file."""

    def __init__(self, path):
        self.path = path
        index = json.loads(self.member("index.json"))
        self.digest = index["manifests"][0]["digest"]
        self.manifest = json.loads(self.blob(self.digest))
        self.config = json.loads(self.blob(self.manifest["config"]["digest"]))

    def member(self, name):
        with tarfile.open(self.path) as tar:
            return tar.extractfile(name).read()

    def blob(self, digest):
        return self.member("blobs/" + digest.replace(":", "/"))

    @property
    def labels(self):
        return self.config["config"].get("Labels") or {}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("archive")
    parser.add_argument("--max-mb", type=float)
    arguments = parser.parse_args()
    archive = Archive(arguments.archive)
    layers = archive.manifest["layers"]
    ours = layers[-1]
    data = archive.blob(ours["digest"])
    unpacked = len(gzip.decompress(data)) if "gzip" in ours["mediaType"] else len(data)
    mb = ours["size"] / 1e6
    print(f"{arguments.archive}: {archive.digest}")
    print(f"  our layer {mb:.1f} MB ({unpacked / 1e6:.1f} MB unpacked), base {sum(layer['size'] for layer in layers[:-1]) / 1e6:.1f} MB, "
          f"user {archive.config['config'].get('User')}, command {archive.config['config'].get('Cmd')}")
    if arguments.max_mb is not None and mb > arguments.max_mb:
        sys.exit(f"our layer is {mb:.1f} MB, and may be {arguments.max_mb:g} MB")


if __name__ == "__main__":
    main()

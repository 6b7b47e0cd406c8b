#!/bin/sh
# podman 5.8.0 (PyPI, podman-py), podman.api.parse_utils.parse_repository, which images.pull splits its
# argument with: a reference by digest is cut at the digest's colon. docker-py splits it at the @.
# Seen:     ('registry.example/app@sha256', HEX) instead of ('registry.example/app', 'sha256:HEX').
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check podman==5.8.0 docker==7.2.0
"$folder/venv/bin/python" - <<'END'
from docker.utils import parse_repository_tag
from podman.api.parse_utils import parse_repository

HEX = "0123456789abcdef" * 4
reference = f"registry.example/app@sha256:{HEX}"
seen = parse_repository(reference), parse_repository_tag(reference)
print(seen)
assert seen == (("registry.example/app@sha256", HEX), ("registry.example/app", f"sha256:{HEX}"))
END

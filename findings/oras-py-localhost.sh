#!/bin/sh
# oras 0.2.43 (PyPI): without a port, the first part `localhost` of a reference is no host to it but a namespace at
# docker.io. Docker and Podman (github.com/distribution/reference, splitDockerDomain) take `localhost` for a registry.
# Seen:     localhost/app -> registry docker.io, namespace localhost; localhost:5000/app -> registry localhost:5000.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check oras==0.2.43
"$folder/venv/bin/python" - <<'END'
from oras.container import Container

seen = [(one.registry, one.namespace, one.repository) for one in map(Container, ("localhost/app", "localhost:5000/app"))]
print(seen)
assert seen == [("docker.io", "localhost", "app"), ("localhost:5000", None, "app")]
END

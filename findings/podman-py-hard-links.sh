#!/bin/sh
# podman 5.8.0 (PyPI, podman-py), which builds its contexts with podman.api.tar_utils.create_tar: of a file with two
# names (hard links) only the first one is put into the archive. tarfile makes the second a link entry, and the filter
# keeps regular files, folders and symbolic links only. docker-py sends both names.
# Seen:     the context has `one`, and no `two`; no warning.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check podman==5.8.0 docker==7.2.0
mkdir "$folder/context"
echo text >"$folder/context/one"
ln "$folder/context/one" "$folder/context/two"
"$folder/venv/bin/python" - "$folder/context" <<'END'
import sys
import tarfile
from docker.utils.build import tar
from podman.api.tar_utils import create_tar

seen = [sorted(m.name for m in tarfile.open(fileobj=file) if m.name) for file in (create_tar(sys.argv[1]), tar(sys.argv[1]))]
print("podman-py", seen[0], "docker-py", seen[1])
assert seen == [["one"], ["one", "two"]]
END

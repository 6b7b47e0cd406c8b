#!/bin/sh
# dockerfile-parse 2.0.1 (PyPI) replaces the variable in ${NAME:-default} and ${NAME:+alternative}, and leaves the rest of
# the expression behind it, in ENV as well as in the parent images. The Dockerfile reference gives "x" for all three.
# Seen:     FROM is 'x:-y}'; SET is 'x:+x}', OR is 'x:-y}'.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check dockerfile-parse==2.0.1
"$folder/venv/bin/python" - <<'END'
import io
from dockerfile_parse import DockerfileParser

parser = DockerfileParser(fileobj=io.BytesIO())
parser.content = "ARG BASE=x\nFROM ${BASE:-y}\nARG NAME=x\nENV SET=${NAME:+x} OR=${NAME:-y} PLAIN=$NAME\n"
seen = parser.parent_images, parser.envs
print(seen)
assert seen == (["x:-y}"], {"SET": "x:+x}", "OR": "x:-y}", "PLAIN": "x"})
END

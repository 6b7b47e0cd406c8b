#!/bin/sh
# dockerfile-parse 2.0.1 (PyPI) does not know here-documents, which the Dockerfile format has since its syntax 1.4: it
# reads their lines as instructions. So text inside one is reported as a stage, a parent image and an environment variable.
# Seen:     parents ['one', 'two'], environment {'COLOUR': 'red'}; by the Dockerfile reference they are the text of one COPY.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check dockerfile-parse==2.0.1
"$folder/venv/bin/python" - <<'END'
import io
from dockerfile_parse import DockerfileParser

parser = DockerfileParser(fileobj=io.BytesIO())
parser.content = "FROM one\nCOPY <<TEMPLATE /template\nFROM two\nENV COLOUR=red\nTEMPLATE\nCMD run\n"
seen = parser.parent_images, parser.envs, [one["instruction"] for one in parser.structure]
print(seen)
assert seen == (["one", "two"], {"COLOUR": "red"}, ["FROM", "COPY", "FROM", "ENV", "TEMPLATE", "CMD"])
END

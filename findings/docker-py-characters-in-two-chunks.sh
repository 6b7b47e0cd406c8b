#!/bin/sh
# docker 7.2.0 (PyPI, docker-py), docker.utils.json_stream: the log of a build, push or pull is decoded chunk by chunk with
# errors="replace", so a character of several bytes that arrives in two chunks becomes two U+FFFD in the record. HTTP says
# nothing of where a chunk ends, and no error is raised.
# Seen:     {'stream': 'Größe'} in one piece, {'stream': 'Gr\ufffd\ufffdße'} when cut inside the ö.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check docker==7.2.0
"$folder/venv/bin/python" - <<'END'
import json
from docker.utils.json_stream import json_stream

record = json.dumps({"stream": "Größe"}, ensure_ascii=False).encode() + b"\n"
cut = record.index("ö".encode()) + 1
seen = [list(json_stream(iter(chunks))) for chunks in ([record], [record[:cut], record[cut:]])]
print(ascii(seen))
assert seen == [[{"stream": "Größe"}], [{"stream": "Gr\ufffd\ufffdße"}]]
END

#!/bin/sh
# tuspy 1.1.0 (PyPI) against @tus/server 2.4.5 (npm): an upload without metadata is refused. tuspy sends the header
# Upload-Metadata all the same, empty; tus 1.0.0 (section Creation) says that it holds one or more pairs, and the server
# answers 400 "Invalid upload-metadata". With one pair of metadata the same file goes through.
# Seen:     without: TusCommunicationError, status 400; with: offset 5.
set -eu
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
server=
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check tuspy==1.1.0
npm --prefix "$folder" install --silent --no-fund --no-audit @tus/server@2.4.5 @tus/file-store@2.1.1 >/dev/null
cat >"$folder/server.mjs" <<'END'
import { Server } from "@tus/server";
import { FileStore } from "@tus/file-store";
const server = new Server({ path: "/files", datastore: new FileStore({ directory: process.argv[2] }) });
const http = server.listen({ host: "127.0.0.1", port: 0 }, () => console.log(http.address().port));
END
mkdir "$folder/uploads"
node "$folder/server.mjs" "$folder/uploads" >"$folder/port" &
server=$!
until [ -s "$folder/port" ]; do kill -0 "$server" && sleep 0.1; done
printf hello >"$folder/file"
"$folder/venv/bin/python" - "http://127.0.0.1:$(cat "$folder/port")/files" "$folder/file" <<'END'
import sys
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

client = TusClient(sys.argv[1])
try:
    client.uploader(sys.argv[2]).upload()
    without = "uploaded"
except TusCommunicationError as exc:
    without = exc.status_code
uploader = client.uploader(sys.argv[2], metadata={"filename": "file"})
uploader.upload()
print("without:", without, "with:", uploader.offset)
assert (without, uploader.offset) == (400, 5)
END

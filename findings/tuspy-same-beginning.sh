#!/bin/sh
# tuspy 1.1.0 (PyPI) with store_url=True, its way to resume: a stored URL is found by the file's size and the MD5 of its
# first 64 KiB alone (tusclient.fingerprint), and the URL of a finished upload stays stored. So another file of the same
# size and beginning, such as the next version of an image of fixed size, is taken for the one before: nothing is sent,
# upload() succeeds, and the server has the first file's bytes.
# Seen:     both uploads end at the same URL and offset; the server's one file ends with the first one's byte.
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
"$folder/venv/bin/python" - "http://127.0.0.1:$(cat "$folder/port")/files" "$folder" <<'END'
import sys
from pathlib import Path
from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage

client, folder = TusClient(sys.argv[1]), Path(sys.argv[2])
storage = FileStorage(str(folder / "urls.json"))
ended = []
for last in b"AB":
    file = folder / f"version-{last}"
    file.write_bytes(bytes(65_536) + bytes([last]) * 1_000)
    uploader = client.uploader(str(file), metadata={"filename": file.name}, store_url=True, url_storage=storage)
    uploader.upload()
    ended.append((uploader.url, uploader.offset))
stored = [path.read_bytes()[-1:] for path in (folder / "uploads").iterdir() if path.suffix != ".json"]
print(ended, stored)
assert ended[0] == ended[1] and ended[0][1] == 66_536 and stored == [b"A"]
END

"""The steps of the first version of this kind of node; a program, so that its memory can be measured.

`python -m bench.first_version IMAGE FOLDER [URL]` prints JSON. It saves to a tar, compresses with `gzip.open`, hashes
in 64 KB reads, reads the whole file into memory and posts it.
"""

import gzip
import json
import os
import sys
from pathlib import Path
from time import perf_counter

import docker
import httpx
from blake3 import blake3

from soak.process import peak_bytes

_CHUNK_BYTES = 64 * 1024
_ENGINE_SECONDS = 600


def _main(reference: str, folder: Path, url: str | None = None) -> None:
    started = perf_counter()
    archive = _save(reference, folder)
    package = _compress(archive)
    checksum = _hash(package)
    seconds = perf_counter() - started
    archive.unlink()
    content = package.read_bytes()
    if url is not None:
        _post(url, content, checksum, reference)
    figures = {"seconds": seconds, "size_bytes": len(content), "checksum": checksum, "peak_bytes": peak_bytes()}
    print(json.dumps(figures))


def _save(reference: str, folder: Path) -> Path:
    client = docker.DockerClient(base_url=os.environ.get("DOCKER_HOST") or None, timeout=_ENGINE_SECONDS)
    path = folder / "image.tar"
    with path.open("wb") as file:
        for chunk in client.images.get(reference).save(_CHUNK_BYTES, named=reference):
            file.write(chunk)
    client.close()
    return path


def _compress(archive: Path) -> Path:
    path = archive.with_suffix(".tar.gz")
    with archive.open("rb") as source, path.open("wb") as file:
        with gzip.open(file, "wb", compresslevel=6) as sink:
            while chunk := source.read(_CHUNK_BYTES):
                sink.write(chunk)
        file.flush()
        os.fsync(file.fileno())  # it did not: but what it is compared with is on the disk
    return path


def _hash(package: Path) -> str:
    hasher = blake3()
    with package.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def _post(url: str, content: bytes, checksum: str, reference: str) -> None:
    name, _, tag = reference.rpartition(":")
    fields = {"package_id": "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10", "checksum": checksum}
    fields |= {"container_name": name, "image_tag": tag, "verify_checksum": "true", "compression": "gzip"}
    response = httpx.post(f"{url}/deploy", data=fields, files={"package": ("image.tar.gz", content)}, timeout=None)
    response.raise_for_status()


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

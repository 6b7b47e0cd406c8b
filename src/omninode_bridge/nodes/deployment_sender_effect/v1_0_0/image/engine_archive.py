"""Writes the archive that an engine loads, of the configuration and the layers of one image and nothing else.

One form loads on every engine that was tried (Docker 20.10, 28.5 with either image store, podman 4.3): an OCI layout
(OCI image-spec 1.1, image-layout.md) whose blobs a `manifest.json` (github.com/moby/moby, image/tarexport) names, too.
Layers are not compressed, and so named by their diff ids. docs/adr/0012 has the reasons.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import PackageTooLargeError
from .descriptor import Descriptor, Layer, blob_path
from .docker_archive import ImageArchive
from .errors import ArchiveError, CompressionError
from .layers import unpacked_layer
from .tar import ArchiveLimits, Content, TarReader

__all__ = ["EngineArchive"]

_OCI = "application/vnd.oci.image"
_END = bytes(2 * tarfile.BLOCKSIZE)


class EngineArchive:
    """Writes the archive of one image.

    Args:
        image: What is to be loaded, with its layers read.
        reference: The one name that it gets, `domain/name:tag`.

    Attributes:
        image_ids: The ids that an engine may give to the loaded image: the digest of its configuration, or that of the
            manifest that is written here (containerd image store).
    """

    def __init__(self, image: ImageArchive, reference: str) -> None:
        self._layers = {layer.diff_id: layer for layer in reversed(image.layers)}  # of equal ones the first
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": _described("config.v1+json", image.config_digest, len(image.config)),
                "layers": [_described("layer.v1.tar", one.diff_id, _unpacked_bytes(one)) for one in image.layers],
            }
        )
        manifest_digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        self.image_ids = frozenset({image.config_digest, manifest_digest})
        entry = _described("manifest.v1+json", manifest_digest, len(manifest)) | {
            "annotations": {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
        }
        index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [entry]}
        loaded = {
            "Config": blob_path(image.config_digest),
            "RepoTags": [reference],
            "Layers": [blob_path(one.diff_id) for one in image.layers],
        }
        self._documents = {
            blob_path(image.config_digest): image.config,
            blob_path(manifest_digest): manifest,
            "index.json": _json(index),
            "manifest.json": _json([loaded]),
        }

    def begin(self) -> bytes:
        """Return the first bytes: a member's name, which no engine takes for something compressed."""
        return _member("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))

    def layers(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """Yield the members of the layers, holding a few pieces of up to 1 MiB.

        Args:
            pieces: The archive that the image was read from; nothing behind its last layer is taken.

        Raises:
            ArchiveError: It is not the archive that the image was read from.
        """
        missing = {layer.path: layer for layer in self._layers.values()}
        if not missing:
            return
        for member, content in TarReader(pieces, ArchiveLimits()):
            layer = missing.pop(member.name, None)
            if layer is not None:
                yield _header(blob_path(layer.diff_id), _unpacked_bytes(layer))
                yield from _copied(layer, content)
                if not missing:
                    return
        raise ArchiveError("the archive has lost a layer")

    def end(self) -> bytes:
        """Return the last bytes, without which no engine finds an image in the bytes before."""
        return b"".join(_member(name, content) for name, content in self._documents.items()) + _END


def _copied(layer: Layer, content: Content) -> Iterator[bytes]:
    """Yield a layer, decompressed and padded, and never more than was read at first."""
    size_bytes = _unpacked_bytes(layer)
    left = size_bytes
    try:
        for piece in unpacked_layer(content, layer.compression or "none", size_bytes):
            left -= len(piece)
            yield bytes(piece)
    except (CompressionError, PackageTooLargeError) as exc:
        raise ArchiveError("a layer is another than it was") from exc
    if left:
        raise ArchiveError("a layer has shrunk")
    yield _padding(size_bytes)


def _unpacked_bytes(layer: Layer) -> int:
    if layer.unpacked_bytes is None:
        raise ValueError("the layers of the image were not read")
    return layer.unpacked_bytes


def _member(name: str, content: bytes) -> bytes:
    return _header(name, len(content)) + content + _padding(len(content))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)  # the same as ustar for all but sizes from 8 GiB on


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _described(kind: str, digest: str, size_bytes: int) -> dict[str, Any]:
    return Descriptor(f"{_OCI}.{kind}", digest, size_bytes).to_json()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

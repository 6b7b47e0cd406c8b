"""The archive that an engine is given: written here, of the configuration and the layers of one image and nothing else.

One form loads on every engine that was tried (Docker 20.10, 28.5 with either image store, podman 4.3): an OCI layout
(OCI image-spec 1.1, image-layout.md) whose blobs a `manifest.json` (github.com/moby/moby, image/tarexport) names, too.
Layers are not compressed, and so named by their diff ids. docs/adr/0012 tells why it is written and not passed on.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

from .docker_archive import ImageArchive
from .errors import ArchiveError
from .layers import StoredLayer, layer_unpacker
from .tar import ArchiveLimits, ContentTaker, Member, TarReader

__all__ = ["EngineArchive"]

_OCI = "application/vnd.oci.image"
_END = bytes(2 * tarfile.BLOCKSIZE)


class EngineArchive:
    """Writes the archive of one image.

    Args:
        image: What is to be loaded, from a reader that has looked into its layers.
        reference: The one name that it gets, `domain/name:tag`.

    Attributes:
        image_ids: How an engine that has loaded it calls the image: by the digest of its configuration, or by that of
            the manifest that is written here (containerd image store).
    """

    def __init__(self, image: ImageArchive, reference: str) -> None:
        self._layers = {layer.diff_id: layer for layer in reversed(image.stored)}  # of equal ones the first
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": _descriptor("config.v1+json", image.config_digest, len(image.config)),
                "layers": [_descriptor("layer.v1.tar", one.diff_id, one.size_bytes) for one in image.stored],
            }
        )
        manifest_digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        self.image_ids = frozenset({image.config_digest, manifest_digest})
        entry = _descriptor("manifest.v1+json", manifest_digest, len(manifest)) | {
            "annotations": {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
        }
        index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [entry]}
        loaded = {
            "Config": _blob(image.config_digest),
            "RepoTags": [reference],
            "Layers": [_blob(one.diff_id) for one in image.stored],
        }
        self._documents = {
            _blob(image.config_digest): image.config,
            _blob(manifest_digest): manifest,
            "index.json": _json(index),
            "manifest.json": _json([loaded]),
        }

    def begin(self) -> bytes:
        """Return the first bytes: a member's name, which no engine takes for something compressed."""
        return _member("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))

    def layers(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the members of the layers, holding a few pieces of up to 1 MiB.

        Args:
            pieces: The archive that the image was read from; left where its last layer ends.

        Raises:
            ArchiveError: It is not the archive that the image was read from; CompressionError likewise.
        """
        missing = {layer.path: layer for layer in self._layers.values()}
        events: list[_Copy | memoryview] = []

        def on_member(member: Member) -> ContentTaker | None:
            layer = missing.pop(member.name, None)
            if layer is None:
                return None
            events.append(_Copy(layer, member.size))
            return events.append

        reader, copy = TarReader(ArchiveLimits(), on_member), _NOTHING
        for piece in pieces if missing else ():
            reader.feed(piece)
            for event in events:
                if isinstance(event, _Copy):
                    copy = event
                    yield _header(_blob(copy.layer.diff_id), copy.layer.size_bytes)
                else:
                    yield from copy.feed(event)
                if copy.ended:
                    yield copy.padding()
            events.clear()
            if copy.ended and not missing:
                return
        if missing or not copy.ended:
            raise ArchiveError("the archive has lost a layer")

    def end(self) -> bytes:
        """Return the last bytes, without which no engine finds an image in what came before."""
        return b"".join(_member(name, content) for name, content in self._documents.items()) + _END


class _Copy:
    """A layer on its way from one archive to the other.

    Args:
        layer: Which one.
        stored_bytes: Size of the member that holds it.
    """

    def __init__(self, layer: StoredLayer, stored_bytes: int) -> None:
        self.layer = layer
        self._unpacker = layer_unpacker(layer.compression)
        self._stored_left = stored_bytes
        self._left = layer.size_bytes

    @property
    def ended(self) -> bool:
        """Whether all that the member holds has come."""
        return not self._stored_left

    def feed(self, data: memoryview) -> Iterator[bytes]:
        """Yield what the next bytes of the member unpack to, and never more than was announced."""
        self._stored_left -= len(data)
        for piece in (bytes(data),) if self._unpacker is None else self._unpacker.feed(data):
            self._left -= len(piece)
            if self._left < 0:
                raise ArchiveError("a layer has grown")
            yield piece

    def padding(self) -> bytes:
        """Return what fills the last block up."""
        if self._left:
            raise ArchiveError("a layer has shrunk")
        return _padding(self.layer.size_bytes)


_NOTHING = _Copy(StoredLayer("", "", 0, "none"), 0)


def _member(name: str, content: bytes) -> bytes:
    return _header(name, len(content)) + content + _padding(len(content))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)  # the same as ustar for all but sizes from 8 GiB on


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{_OCI}.{kind}", "digest": digest, "size": size}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()

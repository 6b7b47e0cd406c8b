"""What the files of an image archive hold, as layers: the SHA-256 and size of each, unpacked where it is compressed.

Layers may be stored compressed (OCI image-spec 1.1, layer.md, `+gzip` and `+zstd`), and engines tell so from the first
bytes, whatever a document says. Here it is the same, so that an engine does not see another layer in the same bytes.
"""

import hashlib
from dataclasses import dataclass

from ..errors import PackageTooLargeError
from ..models.fields import Compression
from .compression import Unpacker, detect
from .errors import ArchiveError, CompressionError
from .tar import ContentTaker, Member

__all__ = ["Contents", "StoredLayer", "layer_unpacker"]

# The largest that common programs make: `zstd --ultra -20`, and github.com/klauspost/compress (BuildKit) at its best.
_ZSTD_WINDOW_LOG = 25
_DETECT_BYTES = 4
# How what engines unpack begins (github.com/moby/moby, pkg/archive; github.com/containers/image, pkg/compression):
# gzip, bzip2, xz, zstd, and a frame that zstd skips (RFC 8878 section 3.1.2).
_SKIPPABLE = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", *_SKIPPABLE)
_HEAD_BYTES = max(map(len, _COMPRESSED))


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer, and where its bytes are in an archive.

    Attributes:
        path: The member that holds them.
        diff_id: SHA-256 of the unpacked layer, `sha256:...`.
        size_bytes: Of the unpacked layer.
        compression: How the member is compressed.
    """

    path: str
    diff_id: str
    size_bytes: int
    compression: Compression


def layer_unpacker(kind: Compression) -> Unpacker | None:
    """Make what unpacks a layer that is stored like this; None where there is nothing to unpack."""
    return None if kind == "none" else Unpacker(kind, zstd_window_log=_ZSTD_WINDOW_LOG)


class Contents:
    """Reads every file of an archive as if it were a layer: which of them are may be known only at the end.

    Args:
        max_bytes: The limit on what all files together unpack to.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._total = 0
        self._found: dict[str, StoredLayer | str] = {}

    def collect(self, member: Member) -> ContentTaker:
        """Return who takes the content of a file."""
        content = _Content(member, self)
        if not member.size:
            self.keep(member.name, content.result())
        return content.take

    def layer(self, path: str, diff_id: str) -> StoredLayer:
        """Return the layer that a file holds.

        Raises:
            ArchiveError: It holds another one, or none that engines unpack in one way.
        """
        found = self._found[path]
        if isinstance(found, str):
            raise ArchiveError(f"the layer {path!r} cannot be read: {found}")
        if found.diff_id != diff_id:
            raise ArchiveError(f"the layer {path!r} is {found.diff_id}, and the configuration names {diff_id}")
        return found

    def keep(self, path: str, found: StoredLayer | str) -> None:
        """Keep what a file was found to hold, or why that is no layer."""
        self._found[path] = found

    def count(self, size: int) -> None:
        """Count unpacked bytes.

        Raises:
            DeploymentSenderError: `PACKAGE_TOO_LARGE`: they are more than the limit.
        """
        self._total += size
        if self._total > self._max_bytes:
            raise PackageTooLargeError(f"what is in the package unpacks to more than {self._max_bytes} bytes")


class _Content:
    """One file as it passes."""

    def __init__(self, member: Member, contents: Contents) -> None:
        self._path = member.name
        self._left = member.size
        self._contents = contents
        self._undetected: bytes | None = b""
        self._kind: Compression = "none"
        self._unpacker: Unpacker | None = None
        self._digest = hashlib.sha256()
        self._head = b""
        self._size = 0
        self._damage = ""

    def take(self, data: memoryview) -> None:
        """Take the next bytes, and report what they were after the last."""
        self._left -= len(data)
        if not self._damage:
            try:
                self._read(data)
            except CompressionError as exc:  # it may be no layer at all
                self._damage = str(exc)
        if not self._left:
            self._contents.keep(self._path, self.result())

    def result(self) -> StoredLayer | str:
        """Return what the file holds, or why that is no layer."""
        if not self._damage and self._unpacker is not None:
            try:
                self._unpacker.finish()
            except CompressionError as exc:
                self._damage = str(exc)
        if not self._damage and self._head.startswith(_COMPRESSED):
            self._damage = "it is compressed twice, or in another way than by gzip or zstd"
        if self._damage:
            return self._damage
        return StoredLayer(self._path, f"sha256:{self._digest.hexdigest()}", self._size, self._kind)

    def _read(self, data: bytes | memoryview) -> None:
        if self._undetected is not None:
            data = self._undetected + data
            if len(data) < _DETECT_BYTES and self._left:
                self._undetected = data
                return
            self._undetected = None
            self._kind = detect(data[:_DETECT_BYTES])
            self._unpacker = layer_unpacker(self._kind)
        for piece in (data,) if self._unpacker is None else self._unpacker.feed(data):
            if len(self._head) < _HEAD_BYTES:
                self._head += bytes(piece[:_HEAD_BYTES])
            self._digest.update(piece)
            self._size += len(piece)
            self._contents.count(len(piece))

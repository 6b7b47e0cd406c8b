"""Reads the files of an image archive as layers: the SHA-256 and size of each, decompressed where it is compressed.

Layers may be stored compressed (OCI image-spec 1.1, layer.md, `+gzip` and `+zstd`). Engines detect that from the first
bytes, whatever a document claims. So does this module; else an engine could read another layer from the same bytes.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from ..errors import PackageTooLargeError
from ..models.fields import Compression
from .compression import decompressed, detect
from .descriptor import Layer
from .errors import ArchiveError, CompressionError
from .tar import Content, Member

__all__ = ["LayerReader", "unpacked_layer"]

# The largest window that common programs make, 32 MiB: `zstd --ultra -20`, and github.com/klauspost/compress (BuildKit)
# at its best.
_ZSTD_WINDOW_LOG = 25
_DETECT_BYTES = 4
# The first bytes of all that engines decompress (github.com/moby/moby, pkg/archive; github.com/containers/image,
# pkg/compression): gzip, bzip2, xz, zstd, and a frame that zstd skips (RFC 8878 section 3.1.2).
_SKIPPABLE = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", *_SKIPPABLE)
_HEAD_BYTES = max(map(len, _COMPRESSED))


def unpacked_layer(content: Content, kind: Compression, max_bytes: int) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a layer that is stored with this compression; arguments and errors as for `decompressed`."""
    return decompressed(content, kind, max_bytes=max_bytes, zstd_window_log=_ZSTD_WINDOW_LOG)


@dataclass(frozen=True, slots=True)
class _Unpacked:
    """The content of a file, decompressed."""

    diff_id: str
    compression: Compression
    size_bytes: int


class LayerReader:
    """Reads every file of an archive as if it were a layer: which files are layers may be known only at the end.

    Args:
        max_bytes: The limit on what all files together decompress to.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._total = 0
        self._found: dict[str, _Unpacked | str] = {}

    def read(self, path: str, content: Content) -> None:
        """Read a file.

        Raises:
            PackageTooLargeError: The files decompress to more than the limit.
            ArchiveError: The archive has no more of the file.
        """
        try:
            self._found[path] = self._read(content)
        except CompressionError as exc:  # it may be no layer at all
            self._found[path] = str(exc)

    def layer(self, member: Member, diff_id: str) -> Layer:
        """Return the layer that a file holds.

        Raises:
            ArchiveError: It holds another layer, or none that all engines decompress in the same way.
        """
        found = self._found[member.name]
        if isinstance(found, str):
            raise ArchiveError(f"the layer {member.name!r} cannot be read: {found}")
        if found.diff_id != diff_id:
            raise ArchiveError(f"the layer {member.name!r} is {found.diff_id}, and the configuration names {diff_id}")
        return Layer(diff_id, member.name, member.size, found.compression, found.size_bytes)

    def _read(self, content: Content) -> _Unpacked:
        head, content = _first_bytes(content)
        kind = detect(head)
        digest, start, before = hashlib.sha256(), b"", self._total
        for piece in unpacked_layer(content, kind, self._max_bytes):
            if len(start) < _HEAD_BYTES:
                start += bytes(piece[:_HEAD_BYTES])
            digest.update(piece)
            self._total += len(piece)
            if self._total > self._max_bytes:
                raise PackageTooLargeError(f"the files in the package decompress to more than {self._max_bytes} bytes")
        if start.startswith(_COMPRESSED):
            raise CompressionError("it is compressed twice, or in another way than by gzip or zstd")
        return _Unpacked(f"sha256:{digest.hexdigest()}", kind, self._total - before)


def _first_bytes(content: Content) -> tuple[bytes, Content]:
    """Return enough bytes to detect a compression, and the whole content."""
    start = b""
    for piece in content:
        start += piece
        if len(start) >= _DETECT_BYTES:
            break
    return start[:_DETECT_BYTES], chain((memoryview(start),), content)

"""An image archive becomes a package file in one pass: indexed, compressed, hashed, counted and written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import DeploymentSenderError, ErrorCode
from ..models.fields import Compression
from .archive import ArchiveReader, ImageArchive
from .checksum import hasher
from .compression import compressor

__all__ = ["Packed", "pack"]

# docker-py yields 32 KB; compressing and hashing are about twice as fast in pieces of 1 MiB.
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """A finished package file.

    Attributes:
        checksum: BLAKE3 of the file, 64 hex digits.
        size_bytes: Its size.
        exported_bytes: The size of the archive inside.
        archive: What that archive holds.
    """

    checksum: str
    size_bytes: int
    exported_bytes: int
    archive: ImageArchive


class _Output:
    """Hashes, counts and writes the package file's bytes, and stops at the limit."""

    def __init__(self, sink: BinaryIO, max_bytes: int) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self._digest = hasher()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise DeploymentSenderError(
                ErrorCode.PACKAGE_TOO_LARGE, f"the package file grew over its limit of {self._max_bytes} bytes"
            )
        self._digest.update(data)
        self._sink.write(data)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


def pack(
    chunks: Iterator[bytes],
    sink: BinaryIO,
    *,
    compression: Compression,
    max_bytes: int,
    on_bytes: Callable[[int], None],
) -> Packed:
    """Turn the chunks of `docker save` into a package file, holding a few of them at most.

    Args:
        chunks: The image archive, split anyhow.
        sink: Where the package file goes; its `write` must take all it is given.
        compression: How to compress.
        max_bytes: The limit on the package file.
        on_bytes: Told the bytes of the archive read so far, in this thread.

    Raises:
        ArchiveError: The bytes are not an archive of one image.
        DeploymentSenderError: `PACKAGE_TOO_LARGE`, before the first byte over `max_bytes` is written.
    """
    reader = ArchiveReader()
    codec = compressor(compression)
    output = _Output(sink, max_bytes)
    exported = 0
    for block in _blocks(chunks):
        reader.feed(block)
        output.write(codec.compress(block))
        exported += len(block)
        on_bytes(exported)
    archive = reader.finish()
    output.write(codec.flush())
    return Packed(output.checksum, output.size_bytes, exported, archive)


def _blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    held_bytes = 0
    for chunk in chunks:
        held.append(chunk)
        held_bytes += len(chunk)
        if held_bytes >= _BLOCK_BYTES:
            yield b"".join(held)
            held, held_bytes = [], 0
    if held:
        yield b"".join(held)

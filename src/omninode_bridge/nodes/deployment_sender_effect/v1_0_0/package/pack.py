"""An image archive becomes a package file in one pass: indexed, compressed, hashed, counted and written."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import DeploymentSenderError, ErrorCode
from ..image.compression import compressing
from ..image.docker_archive import ArchiveReader, ImageArchive
from ..models.fields import Compression
from ..telemetry.metrics import Span
from .checksum import hasher

__all__ = ["Packed", "pack"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A finished package file.

    Attributes:
        checksum: BLAKE3 of the file, 64 hex digits.
        size_bytes: Its size.
        archive: What the archive inside holds.
    """

    checksum: str
    size_bytes: int
    archive: ImageArchive


class _Output:
    """Hashes, counts and writes the package file's bytes, and stops at the limit."""

    def __init__(self, sink: BinaryIO, max_bytes: int, span: Span) -> None:
        self._sink = sink
        self._max_bytes = max_bytes
        self._span = span
        self._digest = hasher()
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise DeploymentSenderError(
                ErrorCode.PACKAGE_TOO_LARGE, f"the package file grew over its limit of {self._max_bytes} bytes"
            )
        with self._span.stage("hash"):
            self._digest.update(data)
        with self._span.stage("write"):
            return self._sink.write(data)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()


def pack(
    chunks: Iterator[bytes],
    sink: BinaryIO,
    *,
    compression: Compression,
    max_bytes: int,
    span: Span,
) -> Packed:
    """Turn the chunks of `docker save` into a package file, holding a few of them at most.

    While the next chunk comes, threads compress those before it, hash and write. Nothing is asked for behind the
    archive's end.

    Args:
        chunks: The image archive, split anyhow.
        sink: Where the package file goes; its `write` must take all it is given.
        compression: How to compress.
        max_bytes: The limit on the package file.
        span: Told how long this thread waited for the first chunk (`export_wait`), for the further ones (`stream`) and
            for the compression (`compress`), and how long it took to `hash` and to `write`.

    Raises:
        ArchiveError: The bytes are not an archive of one image.
        DeploymentSenderError: `PACKAGE_TOO_LARGE`, before the first byte over `max_bytes` is written.
    """
    reader = ArchiveReader()
    output = _Output(sink, max_bytes, span)
    with ExitStack() as compression_ends:
        take = compression_ends.enter_context(compressing(output, compression))
        for chunk in _timed(chunks, span):
            belonging = chunk[: reader.feed(chunk)]
            with span.stage("compress"):
                take(belonging)
            if reader.ended:
                break  # an engine first removes its copy of the image, 0.2 s for each GB, then ends its answer
        archive = reader.finish()
        with span.stage("compress"):
            compression_ends.close()
    return Packed(output.checksum, output.size_bytes, archive)


def _timed(chunks: Iterator[bytes], span: Span) -> Iterator[bytes]:
    stage = "export_wait"
    while True:
        with span.stage(stage):
            chunk = next(chunks, None)
        if chunk is None:
            return
        stage = "stream"
        yield chunk

"""Turns an image archive into a package file in one pass: indexed, compressed, hashed, counted and written."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import PackageTooLargeError
from ..image.compression import compressing
from ..image.docker_archive import ImageArchive, read_archive
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
        archive: The content of the archive inside.
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
            raise PackageTooLargeError(f"the package file grew over its limit of {self._max_bytes} bytes")
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
    """Turn the chunks of `docker save` into a package file, with a few of them in memory.

    While the next chunk comes, threads compress those before it, hash and write. No chunk behind the archive's end is
    taken.

    Args:
        chunks: The image archive, split anyhow.
        sink: The package file; its `write` must write all bytes of a call.
        compression: How to compress.
        max_bytes: The limit on the package file.
        span: Counts how long this thread waited for the first chunk (`export_wait`), for the further ones (`stream`)
            and for the compression (`compress`), and how long it took to `hash` and to `write`.

    Raises:
        ArchiveError: The bytes are not an archive of one image.
        PackageTooLargeError: Before the first byte over `max_bytes` is written.
    """
    output = _Output(sink, max_bytes, span)
    with ExitStack() as compression_ends:
        passing = _Passing(_timed(chunks, span), compression_ends.enter_context(compressing(output, compression)), span)
        # An engine first removes its copy of the image, 0.2 s for each GB, then ends its response.
        archive = read_archive(passing, stop_at_end=True)
        passing.finish(archive.size_bytes)
        with span.stage("compress"):
            compression_ends.close()
    return Packed(output.checksum, output.size_bytes, archive)


class _Passing:
    """Compresses each chunk once it was read; of the last only what belongs to the archive."""

    def __init__(self, chunks: Iterator[bytes], compress: Callable[[bytes], object], span: Span) -> None:
        self._chunks = chunks
        self._compress = compress
        self._span = span
        self._chunk = b""
        self._compressed_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._chunk = chunk
            yield chunk
            self._take(chunk)

    def finish(self, archive_bytes: int) -> None:
        """Compress what the archive has of the last chunk."""
        self._take(self._chunk[: archive_bytes - self._compressed_bytes])

    def _take(self, data: bytes) -> None:
        with self._span.stage("compress"):
            self._compress(data)
        self._compressed_bytes += len(data)


def _timed(chunks: Iterator[bytes], span: Span) -> Iterator[bytes]:
    stage = "export_wait"
    while True:
        with span.stage(stage):
            chunk = next(chunks, None)
        if chunk is None:
            return
        stage = "stream"
        yield chunk

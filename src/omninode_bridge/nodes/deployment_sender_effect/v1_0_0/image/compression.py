"""Compresses and decompresses streams: gzip, zstd or none.

gzip is RFC 1952, made by ISA-L (readable by any gunzip); zstd is RFC 8878, by Python's own module or its backport.
"""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from isal import igzip, igzip_lib, igzip_threaded

from ..errors import PackageTooLargeError
from ..models.fields import Compression
from .errors import CompressionError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from io import BufferedWriter

__all__ = ["CompressionError", "Sink", "compressing", "decompressed", "detect"]

_PIECE_BYTES = 1 << 20  # 1 MiB
# A compressed stream may be longer than what it holds by 4 MiB, which covers what a decompressor reads ahead, and by an
# eighth: members of 1 KiB, the smallest that real programs make, add a fortieth.
_OVERHEAD_BYTES = 4 << 20  # 4 MiB
_OVERHEAD_PART = 8
# Threads that compress: two nearly keep up with an engine's stream, and each takes a few MB of memory.
_THREADS = min(4, os.cpu_count() or 1)
# ISA-L's level 1: 5 % faster than level 2, for 1 % of the size (docs/adr/0003).
_GZIP_LEVEL = 1
_GZIP_MAGIC = b"\x1f\x8b"
# The fastest that is smaller than `gzip -6` (docs/adr/0003).
_ZSTD_LEVEL = 2
_ZSTD_WINDOW_LOG = 21  # 2 MiB
# With jobs of 2 MiB two threads take 15 MB less memory, and 7 to 11 % longer; with zstd's own default, 8 MiB, 60 MB.
_ZSTD_JOB_BYTES = 4 << 20  # 4 MiB
_ZSTD_NO_OVERLAP = 1  # a job that refers to the one before it takes 14 % longer, for 0.3 % of the size
_ZSTD_WINDOW_LOG_MAX = 27  # 128 MiB, what `zstd -d` takes by default
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Sink(Protocol):
    """Where compressed bytes go."""

    def write(self, data: bytes, /) -> int:
        """Write all of the next bytes; return how many."""
        ...


@contextmanager
def compressing(sink: Sink, kind: Compression) -> Iterator[Callable[[bytes], object]]:
    """Compress into a sink, in threads; at the end of the `with` everything is written and the threads have ended.

    Args:
        sink: Its errors are raised by a later call, or at the end. With gzip it is called in another thread.
        kind: How to compress.

    Yields:
        A function that compresses the next bytes; a few MiB of them stay in memory.
    """
    if kind == "none":
        yield sink.write
    elif kind == "gzip":
        with _gzip_into(sink) as take:
            yield take
    else:
        with _zstd_into(sink) as take:
            yield take


@contextmanager
def _zstd_into(sink: Sink) -> Iterator[Callable[[bytes], object]]:
    parameter = zstd.CompressionParameter
    codec = zstd.ZstdCompressor(
        options={
            parameter.compression_level: _ZSTD_LEVEL,
            parameter.checksum_flag: 1,
            parameter.nb_workers: _THREADS,
            parameter.window_log: _ZSTD_WINDOW_LOG,
            parameter.job_size: _ZSTD_JOB_BYTES,
            parameter.overlap_log: _ZSTD_NO_OVERLAP,
        }
    )

    yield lambda data: sink.write(codec.compress(data))
    sink.write(codec.flush())


class _ErrorKeepingSink:
    """A sink whose error is kept until `check` raises it in the caller's thread.

    ISA-L's writer would raise one error several times, also as its own context, and code that follows contexts would
    never end (contextlib.ExitStack's).
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._error: Exception | None = None

    def write(self, data: bytes, /) -> int:
        if self._error is None:
            try:
                self._sink.write(data)
            except Exception as exc:  # noqa: BLE001 - `check` raises it
                self._error = exc
        return len(data)

    def flush(self) -> None:
        """Do nothing; ISA-L calls it at the end."""

    def check(self) -> None:
        if self._error is not None:
            raise self._error


@contextmanager
def _gzip_into(sink: Sink) -> Iterator[Callable[[bytes], object]]:
    kept = _ErrorKeepingSink(sink)
    options = {"threads": _THREADS, "block_size": _PIECE_BYTES}
    file: BufferedWriter = igzip_threaded.open(kept, "wb", _GZIP_LEVEL, **options)

    def take(data: bytes) -> None:
        kept.check()
        file.raw.write(data)  # past a buffer that would only copy it

    with file:
        yield take
    kept.check()


def detect(head: bytes) -> Compression:
    """Return the compression that the first bytes of a file show; 4 are enough."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD_MAGIC) else "none"


def decompressed(
    chunks: Iterable[bytes | memoryview],
    kind: Compression,
    *,
    max_bytes: int,
    zstd_window_log: int = _ZSTD_WINDOW_LOG_MAX,
) -> Iterator[bytes | memoryview]:
    """Decompress a stream, in pieces of at most 1 MiB, holding a few of them.

    Several gzip members or zstd frames in a row are one stream, as for `gunzip` and `unzstd`.

    Args:
        chunks: The compressed bytes, split anyhow; each is read when the decompressor needs it.
        kind: How they are compressed.
        max_bytes: The limit on the decompressed bytes.
        zstd_window_log: The largest window that a zstd frame may have, as a power of two bytes.

    Raises:
        CompressionError: The stream is damaged, ends early, is followed by something else, has a larger zstd
            window, or is much longer than what it decompresses to.
        PackageTooLargeError: Before the piece that would exceed `max_bytes`.
    """
    total = 0
    for piece in _plain(chunks) if kind == "none" else _unpacked(chunks, kind, zstd_window_log):
        total += len(piece)
        if total > max_bytes:
            raise PackageTooLargeError(f"the package unpacks to more than {max_bytes} bytes")
        yield piece


def _plain(chunks: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[start : start + _PIECE_BYTES]


def _unpacked(chunks: Iterable[bytes | memoryview], kind: Compression, zstd_window_log: int) -> Iterator[bytes]:
    source = _ChunkFile(chunks)
    opened, failures = _gzip_reader(source) if kind == "gzip" else _zstd_reader(source, zstd_window_log)
    with opened as file:
        while piece := _read(file, kind, failures):
            source.unpacked_bytes += len(piece)
            yield piece
    if not source.taken_bytes:  # ISA-L reads nothing as no members
        raise CompressionError(f"the {kind} stream is empty")


def _read(file: io.BufferedIOBase, kind: Compression, failures: tuple[type[Exception], ...]) -> bytes:
    try:
        return file.read(_PIECE_BYTES)
    except EOFError as exc:
        raise CompressionError(f"the {kind} stream is cut short") from exc
    except failures as exc:
        raise CompressionError(f"the {kind} stream is damaged: {exc}") from exc


def _gzip_reader(source: "_ChunkFile") -> tuple[io.BufferedIOBase, tuple[type[Exception], ...]]:
    # OverflowError: a header, with its file name and comment, of more than 512 KiB.
    return igzip.open(source), (igzip.BadGzipFile, igzip_lib.IsalError, OverflowError)


def _zstd_reader(source: "_ChunkFile", window_log: int) -> tuple[io.BufferedIOBase, tuple[type[Exception], ...]]:
    return zstd.open(source, options={zstd.DecompressionParameter.window_log_max: window_log}), (zstd.ZstdError,)


class _ChunkFile(io.RawIOBase):
    """Chunks as a file that a decompressor reads.

    Args:
        chunks: The file's bytes, split anyhow.

    Attributes:
        taken_bytes: How many were read.
        unpacked_bytes: How many they decompressed to; counted by the caller.
    """

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._chunks = iter(chunks)
        self._chunk = memoryview(b"")
        self.taken_bytes = 0
        self.unpacked_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Copy the next bytes; return how many, 0 at the end.

        Raises:
            CompressionError: The stream is much longer than what it decompresses to. Millions of empty gzip members or
                zstd frames would take long, and nothing that counts the output would notice.
        """
        while not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._chunk = memoryview(chunk)
        target = memoryview(buffer)
        count = min(len(target), len(self._chunk))
        target[:count], self._chunk = self._chunk[:count], self._chunk[count:]
        self.taken_bytes += count
        if self.taken_bytes > _OVERHEAD_BYTES + self.unpacked_bytes + self.unpacked_bytes // _OVERHEAD_PART:
            raise CompressionError("the stream has more parts than any program makes")
        return count

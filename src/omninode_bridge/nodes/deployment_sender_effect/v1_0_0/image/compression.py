"""gzip, zstd or none: one way in, one way out, always as a stream.

gzip is RFC 1952, made by ISA-L (readable by any gunzip); zstd is RFC 8878, by Python's own module or its backport.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import PackageTooLargeError
from ..models.fields import Compression
from .errors import CompressionError
from .gunzip import GzipMember

if TYPE_CHECKING:
    from io import BufferedWriter

__all__ = ["CompressionError", "Sink", "Unpacker", "compressing", "decompressed", "detect"]

_PIECE_BYTES = 1 << 20
# A decoder copies what follows its end: small slices keep that cheap where parts are many.
_SLICE_BYTES = 1 << 17
# So many gzip members or zstd frames, and one more for each KiB that comes out: bgzip makes one for each 64 KiB.
_PARTS_MAX = 1000
_PART_BYTES = 1 << 10
# Threads that compress: two nearly keep up with an engine's stream, and each takes some MB.
_THREADS = min(4, os.cpu_count() or 1)
# 5 % faster than level 2, for 1 % of the size.
_GZIP_LEVEL = 1
_GZIP_MAGIC = b"\x1f\x8b"
# The fastest that is smaller than `gzip -6`. With jobs of 2 MiB two threads take 15 MB less, and 7 to 11 % longer; with
# those that zstd takes itself, of 8 MiB, they take 60 MB.
_ZSTD_LEVEL = 2
_ZSTD_WINDOW_LOG = 21
_ZSTD_JOB_BYTES = 4 << 20
_ZSTD_NO_OVERLAP = 1  # a job that looks back into the one before it takes 14 % longer, for 0.3 % of the size
_ZSTD_WINDOW_LOG_MAX = 27  # 128 MiB, what `zstd -d` takes by default
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class Sink(Protocol):
    """Where compressed bytes go."""

    def write(self, data: bytes, /) -> int:
        """Take all of the next bytes; answer how many."""
        ...


class _Decoder(Protocol):
    """A decompressor of one gzip member or zstd frame."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes: ...


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - loaded where it is used
    else:
        from backports import zstd  # noqa: PLC0415 - loaded where it is used
    return zstd


@contextmanager
def compressing(sink: Sink, kind: Compression) -> Iterator[Callable[[bytes], object]]:
    """Compress into a sink, in threads of its own; at the end of the `with` all of it is there and the threads ended.

    Args:
        sink: What it raises comes out of a later call, or of the end. With gzip it is called in another thread.
        kind: How to compress.

    Yields:
        A function that takes the next bytes, and holds a few MiB of them.
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
    zstd = _zstd()
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


class _Held:
    """A sink whose refusal is held until the thread that compresses asks for it.

    ISA-L's writer would raise one error several times, as its own context too, and who follows contexts would turn in a
    circle (contextlib.ExitStack does).
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._refusal: Exception | None = None

    def write(self, data: bytes, /) -> int:
        if self._refusal is None:
            try:
                self._sink.write(data)
            except Exception as exc:  # noqa: BLE001 - `check` raises it
                self._refusal = exc
        return len(data)

    def flush(self) -> None:
        """ISA-L asks for it at the end."""

    def check(self) -> None:
        if self._refusal is not None:
            raise self._refusal


@contextmanager
def _gzip_into(sink: Sink) -> Iterator[Callable[[bytes], object]]:
    from isal import igzip_threaded  # noqa: PLC0415 - loaded where it is used

    held = _Held(sink)
    options = {"threads": _THREADS, "block_size": _PIECE_BYTES}
    file: BufferedWriter = igzip_threaded.open(held, "wb", _GZIP_LEVEL, **options)  # type: ignore[no-untyped-call]

    def take(data: bytes) -> None:
        held.check()
        file.raw.write(data)  # past a buffer that would only copy it

    with file:
        yield take
    held.check()


def detect(head: bytes) -> Compression:
    """Tell the compression from the first bytes of a file (4 are enough)."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD_MAGIC) else "none"


def decompressed(chunks: Iterable[bytes], kind: Compression, *, max_bytes: int) -> Iterator[bytes]:
    """Decompress a stream, in pieces of at most 1 MiB, never holding more than a few of them.

    Several gzip members or zstd frames in a row are one stream, as for `gunzip` and `unzstd`.

    Args:
        chunks: The compressed bytes, split anyhow.
        kind: How they are compressed.
        max_bytes: The limit on all that comes out.

    Raises:
        CompressionError: The stream is damaged, ends early, is followed by something else, or asks for a zstd window
            over 128 MiB.
        DeploymentSenderError: `PACKAGE_TOO_LARGE`, before the piece that would cross `max_bytes`.
    """
    total = 0
    for piece in _plain(chunks) if kind == "none" else _unpacked(chunks, kind):
        total += len(piece)
        if total > max_bytes:
            raise PackageTooLargeError(f"the package unpacks to more than {max_bytes} bytes")
        yield piece


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[start : start + _PIECE_BYTES]


def _unpacked(chunks: Iterable[bytes], kind: Compression) -> Iterator[bytes]:
    unpacker = Unpacker(kind)
    for chunk in chunks:
        yield from unpacker.feed(chunk)
    unpacker.finish()


class Unpacker:
    """Decompresses a stream that is pushed in, split anyhow.

    Args:
        kind: How it is compressed; not `none`.
        zstd_window_log: The largest window that a zstd frame may ask for, as a power of two bytes.
    """

    def __init__(self, kind: Compression, *, zstd_window_log: int = _ZSTD_WINDOW_LOG_MAX) -> None:
        self._kind = kind
        self._new, self._failures = _decoders(kind, zstd_window_log)
        self._decoder = self._new()
        self._parts = 1
        self._total = 0

    def feed(self, chunk: bytes | memoryview) -> Iterator[bytes]:
        """Yield what the next bytes unpack to, in pieces of at most 1 MiB; take all of it before the next call.

        Raises:
            CompressionError: The stream is damaged, is followed by something else, or asks for a larger window.
        """
        view = memoryview(chunk)
        for start in range(0, len(view), _SLICE_BYTES):
            data: bytes | memoryview = view[start : start + _SLICE_BYTES]
            while data or not (self._decoder.eof or self._decoder.needs_input):
                if self._decoder.eof:
                    self._next_part()
                try:
                    piece = self._decoder.decompress(data, _PIECE_BYTES)
                except self._failures as exc:
                    raise CompressionError(f"the {self._kind} stream is damaged: {exc}") from exc
                data = self._decoder.unused_data if self._decoder.eof else b""
                self._total += len(piece)
                if piece:
                    yield piece

    def finish(self) -> None:
        """Say that there are no more bytes.

        Raises:
            CompressionError: The stream is cut short.
        """
        if not self._decoder.eof:
            raise CompressionError(f"the {self._kind} stream is cut short")

    def _next_part(self) -> None:
        self._decoder, self._parts = self._new(), self._parts + 1
        if self._parts > _PARTS_MAX + self._total // _PART_BYTES:
            raise CompressionError(f"the {self._kind} stream comes in more parts than any program makes")


def _decoders(kind: Compression, window_log: int) -> tuple[Callable[[], _Decoder], type[Exception]]:
    if kind == "gzip":
        return GzipMember, CompressionError
    zstd = _zstd()
    options = {zstd.DecompressionParameter.window_log_max: window_log}
    return lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError

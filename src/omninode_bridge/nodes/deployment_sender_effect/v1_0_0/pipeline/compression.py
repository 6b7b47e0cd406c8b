"""gzip, zstd or none: one way in, one way out, always as a stream.

gzip is RFC 1952, made by ISA-L (readable by any gunzip); zstd is RFC 8878, by Python's own module or its backport.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ..errors import DeploymentSenderError, ErrorCode
from ..models.fields import Compression

__all__ = ["SUFFIXES", "CompressionError", "Compressor", "compressor", "decompressed", "detect"]

SUFFIXES: dict[Compression, str] = {"gzip": ".tar.gz", "zstd": ".tar.zst", "none": ".tar"}

_PIECE_BYTES = 1 << 20
_GZIP_LEVEL = 2
_GZIP_WBITS = 31  # zlib.h: 15 bits of window, plus 16 for a gzip header and trailer
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_LEVEL = 3
_ZSTD_WORKERS = 2
_ZSTD_WINDOW_LOG_MAX = 27  # 128 MiB, what `zstd -d` takes by default
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class CompressionError(ValueError):
    """The bytes are not what their compression asks for: damaged, cut short, or followed by something else."""


class Compressor(Protocol):
    """A compression under way; `compress` lets other threads run."""

    def compress(self, data: bytes, /) -> bytes:
        """Take the next bytes; answer what is ready, which may be nothing."""
        ...

    def flush(self) -> bytes:
        """Answer the rest; the compressor is finished then."""
        ...


class _NoCompressor:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - loaded where it is used
    else:
        from backports import zstd  # noqa: PLC0415 - loaded where it is used
    return zstd


def compressor(kind: Compression) -> Compressor:
    """Start a compression."""
    if kind == "none":
        return _NoCompressor()
    if kind == "gzip":
        from isal import isal_zlib  # noqa: PLC0415 - loaded where it is used

        return isal_zlib.compressobj(level=_GZIP_LEVEL, wbits=_GZIP_WBITS)
    zstd = _zstd()
    parameter = zstd.CompressionParameter
    made: Compressor = zstd.ZstdCompressor(
        options={
            parameter.compression_level: _ZSTD_LEVEL,
            parameter.checksum_flag: 1,
            parameter.nb_workers: _ZSTD_WORKERS,
        }
    )
    return made


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
    for piece in _DECOMPRESS[kind](chunks):
        total += len(piece)
        if total > max_bytes:
            raise DeploymentSenderError(
                ErrorCode.PACKAGE_TOO_LARGE, f"the package unpacks to more than {max_bytes} bytes"
            )
        yield piece


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[start : start + _PIECE_BYTES]


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib  # noqa: PLC0415 - loaded where it is used

    member = isal_zlib.decompressobj(wbits=_GZIP_WBITS)
    at_border = True
    for chunk in chunks:
        data = chunk
        while data:
            if member.eof:
                member = isal_zlib.decompressobj(wbits=_GZIP_WBITS)
            try:
                piece = member.decompress(data, _PIECE_BYTES)
            except isal_zlib.IsalError as exc:
                raise CompressionError(f"the gzip stream is damaged: {exc}") from exc
            data = member.unused_data if member.eof else member.unconsumed_tail
            at_border = member.eof
            if piece:
                yield piece
    if not at_border:
        raise CompressionError("the gzip stream ends before its end")


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    zstd = _zstd()
    options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
    frame = zstd.ZstdDecompressor(options=options)
    for chunk in chunks:
        data = chunk
        while data or not (frame.eof or frame.needs_input):
            if frame.eof:
                frame = zstd.ZstdDecompressor(options=options)
            try:
                piece = frame.decompress(data, _PIECE_BYTES)
            except zstd.ZstdError as exc:
                raise CompressionError(f"the zstd stream is damaged: {exc}") from exc
            data = frame.unused_data if frame.eof else b""
            if piece:
                yield piece
    if not frame.eof:
        raise CompressionError("the zstd stream ends before its end")


_DECOMPRESS = {"gzip": _gunzip, "zstd": _unzstd, "none": _plain}

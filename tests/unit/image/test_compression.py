"""gzip, zstd and none, in both directions."""

import contextlib
import gzip
import io
import os
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Iterable
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PackageTooLargeError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.compression import (
    CompressionError,
    compressing,
    decompressed,
    detect,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from support.archives.archives import compressed

_KINDS: list[Compression] = ["gzip", "zstd", "none"]
_PACKED: list[Compression] = ["gzip", "zstd"]
_DATA = b"one layer of an image " * 200 + os.urandom(500)
_MIB = 1 << 20


class _Refusing(io.BytesIO):
    """A sink that takes some bytes and no more."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._left = max_bytes

    def write(self, data: Any, /) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise OSError("the disk is full")
        return super().write(data)


def _unpacked(chunks: Iterable[bytes], kind: Compression, max_bytes: int = 1 << 40) -> bytes:
    return b"".join(decompressed(chunks, kind, max_bytes=max_bytes))


def _split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
def test_round_trip(kind: Compression, size: int) -> None:
    """What was compressed comes out again, split anyhow."""
    packed = compressed(kind, *_split(_DATA, size))

    assert _DATA == _unpacked(_split(packed, size), kind)


@pytest.mark.parametrize("kind", _KINDS)
def test_large_round_trip(kind: Compression) -> None:
    """Data of many pieces comes out in pieces of at most 1 MiB."""
    data = os.urandom(_MIB) + bytes(9 * _MIB) + os.urandom(100)

    pieces = list(decompressed([compressed(kind, data)], kind, max_bytes=len(data)))

    assert b"".join(pieces) == data
    assert max(len(piece) for piece in pieces) <= _MIB


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("pieces", [1, 30])
def test_errors_of_the_sink_are_raised(kind: Compression, pieces: int) -> None:
    """The error is raised at the end at the latest, and no thread stays."""
    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is full"), compressing(_Refusing(100), kind) as take:  # noqa: PT012 - any of them
        for _ in range(pieces):
            take(os.urandom(_MIB))
    assert before == threading.active_count()


@pytest.mark.parametrize("kind", _KINDS)
def test_errors_of_the_source_are_raised(kind: Compression) -> None:
    """The error is raised unchanged, and no thread stays."""
    before = threading.active_count()
    with pytest.raises(ConnectionError), compressing(_Refusing(100), kind):
        raise ConnectionError
    assert before == threading.active_count()


def test_gzip_for_any_gunzip() -> None:
    """The standard library reads our gzip."""
    assert _DATA == gzip.decompress(compressed("gzip", _DATA))


@pytest.mark.parametrize("kind", _PACKED)
def test_several_parts_are_one_stream(kind: Compression) -> None:
    """Gzip members and zstd frames in a row are one stream, empty ones included."""
    packed = compressed(kind, _DATA) + compressed(kind, b"") + compressed(kind, b"end")

    assert _DATA + b"end" == _unpacked(_split(packed, 100), kind)


@pytest.mark.parametrize("kind", _PACKED)
def test_cut_short_anywhere(kind: Compression) -> None:
    """A stream that ends early is an error, wherever it ends."""
    packed = compressed(kind, _DATA[-600:])
    for size in range(len(packed)):
        with pytest.raises(CompressionError):
            _unpacked([packed[:size]], kind)


@pytest.mark.parametrize("kind", _PACKED)
@pytest.mark.parametrize("tail", [b"garbage behind it", b"\x1f", b"\x28\xb5\x2f", b"\0x", b"\0" * 600 + b"x"])
def test_nothing_may_follow(kind: Compression, tail: bytes) -> None:
    """Bytes behind the end of a stream are an error."""
    with pytest.raises(CompressionError):
        _unpacked([compressed(kind, _DATA) + tail], kind)


def test_zeros_may_follow_gzip() -> None:
    """As gunzip takes them (tapes were filled up with them); zstd has no such rule."""
    assert _DATA == _unpacked([compressed("gzip", _DATA) + bytes(600)], "gzip")
    with pytest.raises(CompressionError):
        _unpacked([compressed("zstd", _DATA) + bytes(600)], "zstd")


@pytest.mark.parametrize("kind", _PACKED)
def test_nothing_is_no_stream(kind: Compression) -> None:
    """A stream has one member or frame at least."""
    with pytest.raises(CompressionError):
        _unpacked([], kind)


def _member(flags: int) -> bytes:
    """Make a gzip member with the optional fields of these flags (RFC 1952 section 2.3)."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(5) + b"\xff"
    if flags & 4:
        header += struct.pack("<H", 5) + b"extra"
    if flags & 8:
        header += b"name.tar\0"
    if flags & 16:
        header += b"a comment\0"
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + deflate.compress(_DATA) + deflate.flush() + struct.pack("<II", zlib.crc32(_DATA), len(_DATA))


@pytest.mark.parametrize("flags", range(0, 32, 2))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 13, 1 << 20])
def test_every_gzip_header_in_any_pieces(flags: int, size: int) -> None:
    """ISA-L's decompressor objects would refuse many of them (findings/isal-headers-in-pieces.sh)."""
    assert _DATA * 2 == _unpacked(_split(_member(flags) * 2, size), "gzip")


def test_endless_gzip_header() -> None:
    """A file name without an end does not fill the memory."""
    with pytest.raises(CompressionError, match="header"):
        _unpacked([b"\x1f\x8b\x08\x08" + bytes(5) + b"\xff" + b"n" * (1 << 20)], "gzip")


@pytest.mark.parametrize("position", [0, 2, 12, -8, -1])
def test_damaged_gzip(position: int) -> None:
    """Header, content, checksum and size are checked."""
    data = bytearray(_member(0))
    data[position] ^= 0xE7
    with pytest.raises(CompressionError):
        _unpacked([bytes(data)], "gzip")


@pytest.mark.parametrize("kind", _PACKED)
def test_flipped_bits_never_pass(kind: Compression) -> None:
    """A flipped bit is an error, or one of those that mean nothing; the content never changes."""
    packed = bytearray(compressed(kind, _DATA))
    for position in range(0, len(packed), 5):
        packed[position] ^= 0x10
        with contextlib.suppress(CompressionError):
            assert _DATA == _unpacked([bytes(packed)], kind)
        packed[position] ^= 0x10


@pytest.mark.parametrize("kind", _KINDS)
def test_limit(kind: Compression) -> None:
    """A stream may unpack to the limit, and not to one byte more."""
    packed = compressed(kind, _DATA)

    assert _DATA == _unpacked([packed], kind, max_bytes=len(_DATA))
    with pytest.raises(PackageTooLargeError):
        _unpacked([packed], kind, max_bytes=len(_DATA) - 1)


@pytest.mark.parametrize("kind", _PACKED)
def test_a_bomb_stays_small(kind: Compression) -> None:
    """200 MiB of zeros stop at the limit and are never in memory."""
    packed = compressed(kind, *[bytes(_MIB)] * 200)
    tracemalloc.start()
    with pytest.raises(PackageTooLargeError):
        sum(len(piece) for piece in decompressed([packed], kind, max_bytes=100 * _MIB))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 8 * _MIB > peak


@pytest.mark.parametrize("kind", _PACKED)
def test_a_flood_of_empty_parts(kind: Compression) -> None:
    """Endless empty members or frames are refused, before they cost much."""
    with pytest.raises(CompressionError, match="more parts"):
        _unpacked([compressed(kind, b"") * 500_000], kind)


@pytest.mark.parametrize("kind", _PACKED)
def test_many_small_parts(kind: Compression) -> None:
    """Members or frames of 1 KiB, the smallest that real programs make, are read, however many there are."""
    part = os.urandom(1024)

    assert part * 10_000 == _unpacked([compressed(kind, part) * 10_000], kind)


@pytest.mark.parametrize(("window_log", "passes"), [(27, True), (28, False)])
def test_zstd_window(window_log: int, passes: bool) -> None:
    """A zstd frame may ask for the 128 MiB that `zstd -d` takes, and no more."""
    # RFC 8878 3.1.1: magic, descriptor, window descriptor (exponent above 10 in 5 bits), one raw block of one byte.
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3]) + b"\x09\x00\x00x"

    if passes:
        assert b"x" == _unpacked([frame], "zstd")
    else:
        with pytest.raises(CompressionError):
            _unpacked([frame], "zstd")


@pytest.mark.parametrize("kind", _KINDS)
def test_detect(kind: Compression) -> None:
    """The first bytes show the compression."""
    assert kind == detect(compressed(kind, _DATA)[:4])

"""One gzip member, with any header and in any pieces."""

import struct
import zlib

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import CompressionError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.gunzip import GzipMember

_DATA = b"payload" * 100


def _member(flags: int) -> bytes:
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


def _fed(pieces: list[bytes]) -> tuple[bytes, GzipMember]:
    member = GzipMember()
    return b"".join(member.decompress(piece, 1 << 20) for piece in pieces), member


@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_every_header_at_every_split(flags: int) -> None:
    """A header with any optional fields is read wherever the pieces part."""
    data = _member(flags)
    for cut in range(len(data) + 1):
        content, member = _fed([data[:cut], data[cut:]])
        assert (content, member.eof, member.unused_data) == (_DATA, True, b"")


def test_byte_by_byte() -> None:
    """A member may come byte by byte."""
    content, member = _fed([bytes([byte]) for byte in _member(30)])

    assert (content, member.eof) == (_DATA, True)


def test_what_follows_is_handed_back() -> None:
    """Bytes behind the member are left to the caller."""
    _, member = _fed([_member(0) + b"next"])

    assert member.unused_data == b"next"


def test_output_is_limited() -> None:
    """At most `max_length` bytes come out at once, and the rest on the next calls."""
    member = GzipMember()
    pieces = [member.decompress(_member(0), 100)]
    while not member.eof:
        assert not member.needs_input
        pieces.append(member.decompress(b"", 100))

    assert [100] * 7 == [len(piece) for piece in pieces if piece]
    assert b"".join(pieces) == _DATA


@pytest.mark.parametrize(
    ("position", "message"),
    [(0, "no gzip"), (2, "no gzip"), (3, "flag"), (12, "checksum"), (-8, "checksum"), (-1, "size")],
)
def test_damage(position: int, message: str) -> None:
    """A member that is damaged is refused."""
    data = bytearray(_member(0))
    data[position] ^= 0xE7

    with pytest.raises(CompressionError, match=message):
        _fed([bytes(data)])


def test_endless_header() -> None:
    """A file name without an end does not fill the memory."""
    with pytest.raises(CompressionError, match="header"):
        _fed([b"\x1f\x8b\x08\x08" + bytes(5) + b"\xff" + b"n" * (1 << 17)])

"""Packages that must not be loaded, each with one fault; and for each a sound one without it."""

import json
import struct
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, repeat
from typing import Any, Literal

from isal import isal_zlib

from support.archives.archives import image_archive, image_members, written

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "IMAGE",
    "Packing",
    "compressed",
    "header",
    "names",
    "pax",
    "retold",
    "swollen",
    "with_window",
    "zeros_with_window",
]

Packing = Literal["gzip", "zstd"]
IMAGE = image_archive("legacy", "hello:1.0")
_OPTIONS: dict[Any, int] = {zstd.CompressionParameter.checksum_flag: 1}
_PIECE = bytes(1 << 20)
_BLOCK_MAX_BYTES = 1 << 17
_FRAME = b"\x28\xb5\x2f\xfd"  # RFC 8878 section 3.1.1
_PATH_MAX = 4096  # limits.h


def header(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", size: int | bytes = 0) -> bytes:
    """Write one header of a tar archive, to stand before an image's.

    Args:
        name: As it is to be written.
        kind: The type flag.
        target: Of a link.
        size: As a number, or as the 12 bytes of the field.
    """
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"%011o\0" % size if isinstance(size, int) else size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(key: str, value: str) -> bytes:
    """Write a pax header for the member that follows (POSIX.1-2008, `pax`)."""
    record = f" {key}={value}\n".encode()
    length = next(size for digits in range(1, 9) if len(str(size := len(record) + digits)) == digits)
    content = b"%d%b" % (length, record)
    return header("extension", tarfile.XHDTYPE, size=len(content)) + content + bytes(-len(content) % 512)


def retold(*images: Mapping[str, Any]) -> bytes:
    """Write the image with another `manifest.json`: one entry for each, with these changes."""
    members = image_members("legacy", "hello:1.0")
    (entry,) = json.loads(members["manifest.json"])
    return written(members | {"manifest.json": json.dumps([entry | image for image in images]).encode()})


def compressed(kind: Packing, pieces: Iterable[bytes]) -> bytes:
    """Compress a stream."""
    making: Any = isal_zlib.compressobj(1, wbits=31) if kind == "gzip" else zstd.ZstdCompressor(options=_OPTIONS)
    return b"".join([*[making.compress(piece) for piece in pieces], making.flush()])


def names(count: int) -> Iterator[bytes]:
    """Write the image and this many folders, with names of the greatest length, of letters with four bytes each."""
    for number in range(count):
        yield pax("path", f"\U0001f600{number:07}".ljust(_PATH_MAX, "x")) + header("folder", tarfile.DIRTYPE)
    yield IMAGE


def swollen(kind: Packing, mib: int) -> bytes:
    """Make a package of the image and a file of this many MiB of zeros."""
    large = header("large", size=mib << 20)
    return compressed(kind, chain([large], repeat(_PIECE, mib), [IMAGE]))


def with_window(descriptor: int | None, content: bytes = IMAGE) -> bytes:
    """Write a zstd frame that does not compress, and requests much memory.

    Args:
        descriptor: The window's; None for a frame of one segment that announces 1 TiB of content.
        content: What it holds.
    """
    head = bytes([0, descriptor]) if descriptor is not None else b"\xe0" + struct.pack("<Q", 1 << 40)
    pieces = [content[start : start + _BLOCK_MAX_BYTES] for start in range(0, len(content), _BLOCK_MAX_BYTES)]
    blocks = [_block(piece, len(piece), last=piece is pieces[-1]) for piece in pieces]
    return _FRAME + head + b"".join(blocks)


def zeros_with_window(descriptor: int, mib: int) -> bytes:
    """Write a zstd frame of this many MiB of zeros, as small as frames can be."""
    count = (mib << 20) // _BLOCK_MAX_BYTES
    blocks = [_block(b"\0", _BLOCK_MAX_BYTES, last=number == count, kind=1) for number in range(1, count + 1)]
    return _FRAME + bytes([0, descriptor]) + b"".join(blocks)


def _block(content: bytes, size: int, *, last: bool, kind: int = 0) -> bytes:
    """Write a block (RFC 8878 section 3.1.1.2); of kind 1, one byte is repeated."""
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + content

"""Packages that nobody should load, each sound but for its fault; and those next to them, without it."""

import json
import struct
import tarfile
from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import Any

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import Compression
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.pipeline.compression import compressor
from support.archives import image_archive, image_members, written

__all__ = ["IMAGE", "compressed", "header", "pax", "retold", "swollen", "with_window"]

IMAGE = image_archive("legacy", "hello:1.0")
_PIECE = bytes(1 << 20)
_BLOCK_MAX_BYTES = 1 << 17


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


def pax(**records: str) -> bytes:
    """Write a pax header for the member that follows (POSIX.1-2008, `pax`)."""
    content = b""
    for key, value in records.items():
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 2
        content += b"%d%b" % (length, rest)
        assert 10 <= length < 100
    return header("extension", tarfile.XHDTYPE, size=len(content)) + content + bytes(-len(content) % 512)


def retold(*images: Mapping[str, Any]) -> bytes:
    """Write the image with another `manifest.json`: one entry for each, with these changes."""
    members = image_members("legacy", "hello:1.0")
    (told,) = json.loads(members["manifest.json"])
    return written(members | {"manifest.json": json.dumps([told | image for image in images]).encode()})


def compressed(kind: Compression, pieces: Iterable[bytes]) -> bytes:
    """Compress a stream."""
    making = compressor(kind)
    return b"".join([making.compress(piece) for piece in pieces]) + making.flush()


def swollen(kind: Compression, mib: int) -> bytes:
    """Make a package of the image and a file of so many MiB of zeros."""
    large = header("large", size=mib << 20)
    return compressed(kind, chain([large], repeat(_PIECE, mib), [IMAGE]))


def with_window(descriptor: int | None, content: bytes = IMAGE) -> bytes:
    """Write a zstd frame (RFC 8878 section 3.1.1) that does not compress, and asks for much memory.

    Args:
        descriptor: The window's; None for a frame of one segment that announces 1 TiB of content.
        content: What it holds.
    """
    head = bytes([0, descriptor]) if descriptor is not None else b"\xe0" + struct.pack("<Q", 1 << 40)
    blocks = b""
    for start in range(0, len(content), _BLOCK_MAX_BYTES):
        block = content[start : start + _BLOCK_MAX_BYTES]
        last = start + _BLOCK_MAX_BYTES >= len(content)
        blocks += (len(block) << 3 | last).to_bytes(3, "little") + block
    return b"\x28\xb5\x2f\xfd" + head + blocks

#!/bin/sh
# isal 1.9.1 (PyPI), isal_zlib.decompressobj(wbits=31): a gzip header (RFC 1952) that has two of the optional fields EXTRA,
# NAME and COMMENT, or the header checksum, is refused when it arrives in several pieces. In one piece it is read, and
# zlib.decompressobj reads it either way.
# Seen:     in pieces of 7 bytes IsalError for the flag bytes 2, 12, 24, 28 and 30; none for 0, 4, 8 and 16.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check isal==1.9.1
"$folder/venv/bin/python" - <<'END'
import struct
import zlib
from isal import isal_zlib

TEXT = b"The same bytes again. " * 10


def member(flags):
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\x00\x03"
    if flags & 4:
        header += struct.pack("<H", 5) + b"extra"
    if flags & 8:
        header += b"layer.tar\x00"
    if flags & 16:
        header += b"a comment\x00"
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    deflate = zlib.compressobj(wbits=-15)
    return header + deflate.compress(TEXT) + deflate.flush() + struct.pack("<II", zlib.crc32(TEXT), len(TEXT))


def read(library, data, step):
    reader = library.decompressobj(wbits=31)
    try:
        text = b"".join(reader.decompress(data[i : i + step]) for i in range(0, len(data), step)) + reader.flush()
    except Exception as exc:
        return type(exc).__name__
    return text == TEXT


FLAGS = (0, 2, 4, 8, 12, 16, 24, 28, 30)
seen = {flags: read(isal_zlib, member(flags), 7) for flags in FLAGS}
print(seen)
assert all(read(zlib, member(flags), 7) is True for flags in FLAGS)
assert all(read(isal_zlib, member(flags), 10_000) is True for flags in FLAGS)
assert seen == {0: True, 4: True, 8: True, 16: True} | dict.fromkeys((2, 12, 24, 28, 30), "IsalError")
END

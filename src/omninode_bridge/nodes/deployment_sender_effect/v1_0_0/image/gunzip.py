"""One member of a gzip file (RFC 1952 section 2.3), inflated by ISA-L.

The header and the trailer are read here: ISA-L's own reader (isal 1.9.1) takes a sound header with two optional
fields, or with a checksum, for damaged when it arrives in two pieces.
"""

import struct

from .errors import CompressionError

__all__ = ["GzipMember"]

_FIXED_BYTES = 10
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0
_HEADER_MAX_BYTES = 1 << 17  # an extra field has 64 KiB at most, a name and a comment have no limit
_TRAILER_BYTES = 8
_RAW_DEFLATE = -15  # zlib.h, inflateInit2: the largest window, no header


class GzipMember:
    """A decompressor of one member, with the interface of `compression.zstd.ZstdDecompressor`.

    Attributes:
        eof: The member is at its end, and its checksum and size are right.
        needs_input: There is nothing to answer before more bytes come.
        unused_data: What was fed beyond the end.
    """

    def __init__(self) -> None:
        from isal import isal_zlib  # noqa: PLC0415 - loaded where it is used

        self._isal = isal_zlib
        self._inflate = isal_zlib.decompressobj(wbits=_RAW_DEFLATE)
        self._head: bytes | None = b""
        self._tail = b""
        self._pending = b""
        self._crc = 0
        self._size = 0
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """Take the next bytes and answer at most `max_length`; call again with none while `needs_input` is false.

        Raises:
            CompressionError: The member is damaged.
        """
        if self._head is not None:
            data = self._without_header(self._head + data)
            if self._head is not None:
                return b""
        if self._inflate.eof:
            self._finish(bytes(data))
            return b""
        piece = self._inflated(self._pending + data if self._pending else data, max_length)
        self._crc = self._isal.crc32(piece, self._crc)
        self._size += len(piece)
        self._pending = self._inflate.unconsumed_tail
        self.needs_input = not self._pending and len(piece) < max_length
        if self._inflate.eof:
            self._finish(self._inflate.unused_data)
        return piece

    def _without_header(self, held: bytes) -> bytes:
        size = _header_size(held)
        if size is None:
            if len(held) > _HEADER_MAX_BYTES:
                raise CompressionError("a gzip header is longer than any program makes it")
            self._head = held
            return b""
        self._head = None
        return held[size:]

    def _inflated(self, data: bytes | memoryview, max_length: int) -> bytes:
        try:
            return self._inflate.decompress(data, max_length)
        except self._isal.IsalError as exc:  # type: ignore[misc]  # the stub calls the class an exception
            raise CompressionError(str(exc)) from exc

    def _finish(self, data: bytes) -> None:
        self._tail += data
        self.needs_input = True
        if len(self._tail) < _TRAILER_BYTES:
            return
        if struct.unpack_from("<II", self._tail) != (self._crc, self._size & 0xFFFFFFFF):
            raise CompressionError("its checksum or size is another")
        self.eof, self.needs_input, self.unused_data = True, False, self._tail[_TRAILER_BYTES:]


def _header_size(held: bytes) -> int | None:
    if not b"\x1f\x8b\x08".startswith(held[:3]):
        raise CompressionError("something that is no gzip stands where a gzip header should")
    if len(held) < _FIXED_BYTES:
        return None
    flags, size = held[3], _FIXED_BYTES
    if flags & _RESERVED:
        raise CompressionError("a gzip header has a flag that means nothing")
    if flags & _FEXTRA:
        size += 2 + int.from_bytes(held[size : size + 2], "little")
    for text in (_FNAME, _FCOMMENT):
        if flags & text:
            size = held.find(b"\0", size) + 1
            if not size:
                return None
    # Nothing in a header is used, so its own checksum is passed over.
    size += 2 if flags & _FHCRC else 0
    return size if len(held) >= size else None

"""Reads an upload's form as it arrives: the fields, then the package's bytes, and nothing after them (RFC 7578)."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ...protocol.form import PACKAGE_PART
from ..limits import DIRECT_READ_TAIL_BYTES, FIELD_MAX_BYTES, FIELDS_MAX
from .boundary import BoundaryScanner, bad_form
from .direct_read import DirectBodyReader
from .file_writer import HashingFileWriter

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["UploadForm"]

_LINE_END = b"\r\n"


class _Parts:
    """Collects what the parser finds; its methods are the parser's callbacks, in their order."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.in_package = False
        self.slices: list[memoryview] = []
        self.ended = False
        self._name: str | None = None
        self._value = bytearray()
        self._header = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._mark = b"--" + boundary
        self._begin = b""  # of the part's content, as long as the mark at most

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_data,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        if self.in_package:
            raise bad_form("a part follows the package: the fields come before it, and it comes once")
        if len(self.fields) > FIELDS_MAX:
            raise bad_form(f"the form has more than {FIELDS_MAX} fields")
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_data(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or not options.get(b"name"):
            raise bad_form("a part has no Content-Disposition: form-data with a name")
        name = options[b"name"].decode("utf-8", "replace")
        if name == PACKAGE_PART:
            self.in_package = True
        elif b"filename" in options:
            raise bad_form(f"the file part is not named {PACKAGE_PART}")
        elif name in self.fields:
            raise bad_form(f"the field {name[:64]!r} comes twice")
        self._name = name
        self._value.clear()
        self._begin = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._check_start(data[start : min(end, start + len(self._mark))])
        if self.in_package:
            self.slices.append(memoryview(data)[start:end])
        elif len(self._value) + end - start > FIELD_MAX_BYTES:
            raise bad_form(f"a field is longer than {FIELD_MAX_BYTES} bytes")
        else:
            self._value += data[start:end]

    def _check_start(self, data: bytes) -> None:
        """Refuse a part that is a boundary together with the empty line before it (RFC 2046 section 5.1.1)."""
        if len(self._begin) < len(self._mark):
            self._begin += data[: len(self._mark) - len(self._begin)]
            if self._begin == self._mark:
                raise bad_form("a part begins with the form's boundary")

    def _part_end(self) -> None:
        if self.in_package or self._name is None:
            return
        try:
            self.fields[self._name] = self._value.decode()
        except UnicodeDecodeError:
            raise bad_form(f"the field {self._name[:64]!r} is not UTF-8") from None

    def _end(self) -> None:
        self.ended = True


class UploadForm:
    """The form of one upload: call `fields` first, then `file`.

    Args:
        boundary: As `boundary_of` returned it.
        body: The request's body, in chunks of any size.
        reader: Reads a large package directly from the socket; None where that is not possible.
    """

    def __init__(self, boundary: bytes, body: AsyncIterator[bytes], reader: DirectBodyReader | None = None) -> None:
        self._body = body
        self._reader = reader
        self._scanner = BoundaryScanner(boundary)
        self._after_end = b""
        self._seen_bytes = 0
        self._parts = _Parts(boundary)
        self._parser = MultipartParser(boundary, self._parts.callbacks())

    async def fields(self) -> dict[str, str]:
        """Read up to where the package begins, and return the fields before it.

        Raises:
            InvalidInputError: This is not a form, or one with too many fields or without a package.
        """
        while not self._parts.in_package:
            await self._parse_next("the form has no part named package after its fields")
        return self._parts.fields

    async def file(self, writer: HashingFileWriter) -> None:
        """Write the package's bytes as they arrive, up to the end of the form.

        Raises:
            InvalidInputError: Something follows the package, or its end is missing.
            StorageError: The disk refused.
        """
        while not self._parts.ended:
            await self._write_parsed(writer)
            if not await self._read_directly(writer):
                await self._parse_next("the form ends before its last boundary")
        await self._write_parsed(writer)
        async for chunk in self._body:
            self._parse(chunk)

    async def _write_parsed(self, writer: HashingFileWriter) -> None:
        slices, self._parts.slices = self._parts.slices, []
        for piece in slices:
            await writer.write(piece)

    async def _read_directly(self, writer: HashingFileWriter) -> bool:
        """Read what remains of the package from the socket; only the last bytes of the body go through the parser.

        Returns:
            False if the parser must see more first: because too little remains, or because the last byte that it saw
            may be inside a boundary.
        """
        reader = self._reader
        if reader is None or not reader.is_worthwhile(self._seen_bytes):
            return False
        with reader:
            self._parse(reader.take_buffered())
            await self._write_parsed(writer)
            if self._parts.ended or self._scanner.is_inside_boundary():
                return self._parts.ended
            count = reader.remaining_bytes(self._seen_bytes) - DIRECT_READ_TAIL_BYTES
            await writer.begin_direct(count)

            def write_piece(buffer: bytearray, filled: int) -> None:  # in the reader's thread
                self._scanner.check(buffer, filled)
                writer.write_directly(memoryview(buffer)[:filled])

            await reader.receive(count, write_piece)
            tail = bytearray()
            await reader.receive(DIRECT_READ_TAIL_BYTES, lambda buffer, filled: tail.extend(buffer[:filled]))
            self._scanner.check_start(tail)
            reader.mark_complete()
        self._parse(bytes(tail))
        return True

    async def _parse_next(self, at_the_end: str) -> None:
        chunk = await anext(self._body, None)
        if chunk is None or self._parts.ended:
            raise bad_form(at_the_end)
        self._parse(chunk)

    def _parse(self, chunk: bytes) -> None:
        # After a newline the parser would skip what is before the first boundary, without an end, and more or less of
        # it depending on where the body is split. RFC 7578 has no such preamble.
        if not self._seen_bytes and not b"-".startswith(chunk[:1]):
            raise bad_form("the form cannot be read: it does not begin with its boundary")
        self._seen_bytes += len(chunk)
        if self._parts.ended:
            self._check_after_end(chunk)
            return
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise bad_form(f"the form cannot be read: {exc}") from exc
        if self._parts.ended:
            self._check_after_end(self._scanner.after_end(chunk))
        self._scanner.remember(chunk)

    def _check_after_end(self, chunk: bytes) -> None:
        """Check that a line's end follows the form, or nothing: another reader could find another form there."""
        self._after_end += chunk[: len(_LINE_END) + 1]
        if not _LINE_END.startswith(self._after_end):
            raise bad_form("the request goes on after the form's last boundary")

"""Reads an upload's form as it arrives: the fields, then the package's bytes, and nothing after them (RFC 7578)."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ...errors import DeploymentSenderError, ErrorCode
from ...protocol.form import PACKAGE_PART
from ..limits import FIELD_MAX_BYTES, FIELDS_MAX, STRAIGHT_REST_BYTES
from .direct_read import DirectBodyReader
from .file_writer import HashingFileWriter

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["UploadForm", "boundary_of"]

_BOUNDARY_MAX_BYTES = 70  # RFC 2046 section 5.1.1
_LINE_END = b"\r\n"
_BOUNDARY_INSIDE = "the form's boundary stands inside the package"


def _wrong(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.VALIDATION_ERROR,
        message,
        recovery="Send multipart/form-data: the fields first, then one file part named package"
        " (docs/receiver-protocol.md).",
    )


def boundary_of(content_type: str | None) -> bytes:
    """Read the boundary from a `Content-Type` header.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`, for any other content type and without a boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise _wrong("the request is not multipart/form-data")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_MAX_BYTES:
        raise _wrong(f"the Content-Type names no boundary of 1 to {_BOUNDARY_MAX_BYTES} characters")
    return boundary


class _Parts:
    """Told by the parser what it finds, in order."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.file_begun = False
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
        if self.file_begun:
            raise _wrong("a part follows the package: the fields come before it, and it comes once")
        if len(self.fields) > FIELDS_MAX:
            raise _wrong(f"the form has more than {FIELDS_MAX} fields")
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
            raise _wrong("a part has no Content-Disposition: form-data with a name")
        name = options[b"name"].decode("utf-8", "replace")
        if name == PACKAGE_PART:
            self.file_begun = True
        elif b"filename" in options:
            raise _wrong(f"the file part is not named {PACKAGE_PART}")
        elif name in self.fields:
            raise _wrong(f"the field {name[:64]!r} comes twice")
        self._name = name
        self._value.clear()
        self._begin = b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._must_not_begin_with_the_mark(data[start : min(end, start + len(self._mark))])
        if self.file_begun:
            self.slices.append(memoryview(data)[start:end])
        elif len(self._value) + end - start > FIELD_MAX_BYTES:
            raise _wrong(f"a field is longer than {FIELD_MAX_BYTES} bytes")
        else:
            self._value += data[start:end]

    def _must_not_begin_with_the_mark(self, data: bytes) -> None:
        """Refuse a part that is a boundary together with the empty line before it (RFC 2046 section 5.1.1)."""
        if len(self._begin) < len(self._mark):
            self._begin += data[: len(self._mark) - len(self._begin)]
            if self._begin == self._mark:
                raise _wrong("a part begins with the form's boundary")

    def _part_end(self) -> None:
        if self.file_begun or self._name is None:
            return
        try:
            self.fields[self._name] = self._value.decode()
        except UnicodeDecodeError:
            raise _wrong(f"the field {self._name[:64]!r} is not UTF-8") from None

    def _end(self) -> None:
        self.ended = True


class UploadForm:
    """One upload's form: ask for `fields` first, then for `file`.

    Args:
        boundary: As `boundary_of` answered it.
        body: The request's body, split anyhow.
        straight: A way past the parser for what is large, where there is one.
    """

    def __init__(self, boundary: bytes, body: AsyncIterator[bytes], straight: DirectBodyReader | None = None) -> None:
        self._body = body
        self._straight = straight
        self._delimiter = b"\r\n--" + boundary
        self._end = self._delimiter + b"--"
        self._last = b""  # of what came, all but a byte of the form's end
        self._after_end = b""
        self._seen = 0
        self._parts = _Parts(boundary)
        self._parser = MultipartParser(boundary, self._parts.callbacks())

    async def fields(self) -> dict[str, str]:
        """Read up to where the package begins, and answer every field before it.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: this is no form, or one with too much or without a package.
        """
        while not self._parts.file_begun:
            await self._feed("the form has no part named package after its fields")
        return self._parts.fields

    async def file(self, intake: HashingFileWriter) -> None:
        """Put the package's bytes away as they come, to the end of the form.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: something follows the package, or its end is missing; and what
                the intake raises.
        """
        while not self._parts.ended:
            await self._put_away(intake)
            straight = self._straight
            if straight is None or not straight.pays(self._seen) or not await self._gone_straight(straight, intake):
                await self._feed("the form ends before its last boundary")
        await self._put_away(intake)
        await self._epilogue()

    async def _put_away(self, intake: HashingFileWriter) -> None:
        slices, self._parts.slices = self._parts.slices, []
        for piece in slices:
            await intake.feed(piece)

    async def _gone_straight(self, straight: DirectBodyReader, intake: HashingFileWriter) -> bool:
        """Have the intake read the socket itself, and let the parser see the last bytes of the body only.

        False if it must see more first: its last byte may have been the beginning of a boundary.
        """
        with straight:
            self._write(straight.pending())
            await self._put_away(intake)
            if self._parts.ended or self._may_begin_a_boundary():
                return self._parts.ended

            async def receive(count: int, keep: Callable[[bytearray, int], None]) -> None:
                await straight.receive(count, lambda buffer, filled: self._checked(buffer, filled, keep))

            await intake.feed_from(receive, straight.left_bytes(self._seen) - STRAIGHT_REST_BYTES)
            rest = bytearray()
            await straight.receive(STRAIGHT_REST_BYTES, lambda buffer, filled: rest.extend(buffer[:filled]))
            self._must_be_package(rest[: len(self._delimiter)])
            straight.all_read()
        self._write(bytes(rest))
        return True

    def _may_begin_a_boundary(self) -> bool:
        mark = self._delimiter
        return any(self._last.endswith(mark[:length]) for length in range(1, len(mark)))

    def _checked(self, buffer: bytearray, filled: int, keep: Callable[[bytearray, int], None]) -> None:
        self._must_be_package(buffer[: min(len(self._delimiter), filled)])
        if buffer.find(self._delimiter, 0, filled) >= 0:
            raise _wrong(_BOUNDARY_INSIDE)
        self._remember(buffer[max(0, filled - len(self._end)) : filled])
        keep(buffer, filled)

    def _must_be_package(self, begin: bytearray) -> None:
        """Insist that no boundary ends in the next bytes."""
        if self._delimiter in self._last[1 - len(self._delimiter) :] + begin:
            raise _wrong(_BOUNDARY_INSIDE)

    async def _epilogue(self) -> None:
        async for chunk in self._body:
            self._write(chunk)

    async def _feed(self, at_the_end: str) -> None:
        chunk = await anext(self._body, None)
        if chunk is None or self._parts.ended:
            raise _wrong(at_the_end)
        self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        # After a newline the parser would skip what stands before the first boundary, without an end, and more or less
        # of it by where the body is split. RFC 7578 knows no such preamble.
        if not self._seen and not b"-".startswith(chunk[:1]):
            raise _wrong("the form cannot be read: it does not begin with its boundary")
        self._seen += len(chunk)
        if self._parts.ended:
            self._see_after_end(chunk)
            return
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise _wrong(f"the form cannot be read: {exc}") from exc
        if self._parts.ended:
            self._see_after_end((self._last + chunk).partition(self._end)[2])
        self._remember(chunk)

    def _remember(self, chunk: bytes | bytearray) -> None:
        self._last = bytes(self._last + chunk[-len(self._end) :])[1 - len(self._end) :]

    def _see_after_end(self, chunk: bytes) -> None:
        """Insist on a line's end, or nothing: whoever reads differently could find another form there."""
        self._after_end += chunk[: len(_LINE_END) + 1]
        if not _LINE_END.startswith(self._after_end):
            raise _wrong("the request goes on after the form's last boundary")

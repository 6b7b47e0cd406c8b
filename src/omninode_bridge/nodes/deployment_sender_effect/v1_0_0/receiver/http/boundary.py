"""The boundary between the parts of a form (RFC 2046 section 5.1.1): reads it, and searches raw bytes for it."""

from python_multipart.multipart import parse_options_header

from ...errors import InvalidInputError

__all__ = ["BoundaryScanner", "bad_form", "boundary_of"]

_BOUNDARY_MAX_BYTES = 70  # RFC 2046 section 5.1.1


def bad_form(message: str) -> InvalidInputError:
    """Return the error for a request that is not an upload's form."""
    return InvalidInputError(
        message,
        recovery="Send multipart/form-data: the fields first, then one file part named package"
        " (docs/receiver-protocol.md).",
    )


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that a `Content-Type` header names.

    Raises:
        InvalidInputError: The content type is not multipart/form-data, or has no boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise bad_form("the request is not multipart/form-data")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_MAX_BYTES:
        raise bad_form(f"the Content-Type names no boundary of 1 to {_BOUNDARY_MAX_BYTES} characters")
    return boundary


class BoundaryScanner:
    """Searches a form's bytes for its boundary, also across the ends of chunks.

    Args:
        boundary: As `boundary_of` returned it.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._end = self._delimiter + b"--"
        self._last = b""  # the bytes before the next chunk, one less than the form's end has

    def remember(self, chunk: bytes | bytearray) -> None:
        """Note a chunk that the form's parser has seen."""
        self._last = bytes(self._last + chunk[-len(self._end) :])[1 - len(self._end) :]

    def is_inside_boundary(self) -> bool:
        """Whether the last bytes may be the beginning of a boundary."""
        return any(self._last.endswith(self._delimiter[:length]) for length in range(1, len(self._delimiter)))

    def after_end(self, chunk: bytes) -> bytes:
        """Return the bytes that follow the form's last boundary, which ends in `chunk`."""
        return (self._last + chunk).partition(self._end)[2]

    def check_start(self, data: bytes | bytearray) -> None:
        """Check that no boundary ends in the first bytes of `data`.

        Raises:
            InvalidInputError: One does.
        """
        if self._delimiter in self._last[1 - len(self._delimiter) :] + data[: len(self._delimiter)]:
            raise _boundary_inside()

    def check(self, buffer: bytearray, filled: int) -> None:
        """Check that no boundary is, or ends, in the first `filled` bytes of a buffer, and remember them.

        Raises:
            InvalidInputError: There is one: within a package it would be the package's end.
        """
        self.check_start(buffer[: min(len(self._delimiter), filled)])
        if buffer.find(self._delimiter, 0, filled) >= 0:
            raise _boundary_inside()
        self.remember(buffer[max(0, filled - len(self._end)) : filled])


def _boundary_inside() -> InvalidInputError:
    return bad_form("the form's boundary is inside the package")

"""HTTP as a test writes it, well-formed or not: a connection that sends any bytes at any time."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from support.http.forms import written_form
from support.receiver.in_process import form

__all__ = ["BOUNDARY", "RawAnswer", "RawConnection", "written_upload"]

BOUNDARY = b"between-two-parts"
_CHUNK_BYTES = 65_536


@dataclass(frozen=True)
class RawAnswer:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Read the content."""
        return json.loads(self.content)


class RawConnection:
    """Connected for the length of an `async with` block.

    Args:
        url: The server's.
    """

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def send(self, data: bytes) -> bool:
        """Send; return whether the server still accepts bytes."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            return False
        return not self._reader.at_eof()

    async def answer(self) -> RawAnswer | None:
        """Wait for the response; None if the connection ends before one is whole."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            content = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError):
            return None
        return RawAnswer(int(first.split(" ")[1]), headers, content)


def written_upload(package: bytes, *, is_chunked: bool = False, **fields: str | None) -> bytes:
    """Write the whole request that uploads a package, with good fields; a field given as None is left out.

    Args:
        package: The package file's bytes.
        is_chunked: Do not announce the length (RFC 9112 section 7.1).
        fields: Other values for the form's fields.
    """
    body = written_form(BOUNDARY, form(package, **fields), package)
    head = b"POST /deploy HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=%b\r\n" % BOUNDARY
    if not is_chunked:
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    pieces = (body[start : start + _CHUNK_BYTES] for start in range(0, len(body), _CHUNK_BYTES))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks

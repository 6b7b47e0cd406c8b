"""HTTP as bytes on a connection, for requests that no client would send."""

import json
import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

__all__ = ["BOUNDARY", "END", "FORM", "Reply", "ask", "chunked", "connected", "field", "heard", "package", "request"]

BOUNDARY = b"BOUNDARY"
END = b"--%b--\r\n" % BOUNDARY
FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object that it holds."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def refusal(self) -> tuple[int, str | None]:
        """The status and the error code."""
        return self.status, self.document.get("error_code")


def connected(url: str, seconds: float = 60) -> socket.socket:
    """Open a connection to where a URL points; it fails when nothing moves for so long."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), seconds)


def request(
    method: str,
    target: str,
    body: bytes = b"",
    content_type: str | None = FORM,
    headers: Mapping[str, str | None] | None = None,
) -> bytes:
    """Write a request; `headers` win over those that fit the body, and None leaves one out."""
    fitting = {
        "Host": "localhost",
        "Connection": "close",
        "Content-Length": str(len(body)),
        "Content-Type": content_type,
    }
    told = fitting | dict(headers or {})
    lines = [f"{name}: {value}" for name, value in told.items() if value is not None]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode() + body


def chunked(body: bytes) -> bytes:
    """Write a body in one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def heard(connection: socket.socket) -> Reply:
    """Read the answer."""
    with closing(HTTPResponse(connection)) as response:
        response.begin()
        return Reply(response.status, response.read())


def ask(url: str, sent: bytes) -> Reply:
    """Send a request on a connection of its own, and read the answer."""
    with connected(url) as connection:
        with suppress(OSError):  # whoever refuses may close before it has read everything
            connection.sendall(sent)
        return heard(connection)


def field(name: str, value: str) -> bytes:
    """Write one field of a form."""
    head = f'Content-Disposition: form-data; name="{name}"'
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY, head.encode(), value.encode())


def package(content: bytes, filename: str = "image.tar", more: bytes = b"") -> bytes:
    """Write the file part of a form; `more` are further headers, each with its line's end."""
    head = f'Content-Disposition: form-data; name="package"; filename="{filename}"'
    return b"--%b\r\n%b\r\n%b\r\n%b\r\n" % (BOUNDARY, head.encode(), more, content)

"""A connection: bounds that the HTTP server itself does not set, and a way past it for what is large."""

import asyncio
from http import HTTPStatus

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .limits import HEAD_MAX_BYTES

__all__ = ["BoundedProtocol", "bounded_protocol", "connection_of"]


_EXTENSION = "deployment.connection"
_CLOSE = (b"connection", b"close")


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a request line and headers that are too large or do not come to their end.

    httptools has no limit for either: headers would be collected for as long as they come.
    """

    head_seconds: float
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
        """Wait for a head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > HEAD_MAX_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Let the application find this connection."""
        self._head_is_here()
        self.scope["extensions"] = {_EXTENSION: {"protocol": self}}
        super().on_headers_complete()

    def leave_body(self) -> None:
        """Say that somebody else reads on: the parser will not see the request's end, so no other may follow it."""
        if _CLOSE not in self.cycle.default_headers:
            self.cycle.default_headers = [*self.cycle.default_headers, _CLOSE]

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        super().on_response_complete()
        if self.cycle.response_complete:  # else the next request's head is here already
            self._expect_head()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.head_seconds, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _head_is_here(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._head_is_here()
        if not self.transport.is_closing():
            answer = f"HTTP/1.1 {status} {status.phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            self.transport.write(answer.encode())
            self.transport.close()


def connection_of(scope: Scope) -> BoundedProtocol | None:
    """Answer the connection that a request came on; None with TLS, and with several requests under way."""
    connection: BoundedProtocol = scope["extensions"][_EXTENSION]["protocol"]
    return connection if connection.scheme == "http" and connection.cycle.scope is scope else None


def bounded_protocol(head_seconds: float) -> type[asyncio.Protocol]:
    """Answer the protocol for uvicorn's `http`.

    Args:
        head_seconds: How long a request's head may take to arrive, from the connection's or the last answer's end on.
    """
    return type("BoundedProtocol", (BoundedProtocol,), {"head_seconds": head_seconds})

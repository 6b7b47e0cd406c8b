"""A connection, with bounds that the HTTP server itself does not set: how large and how slow a request's head is."""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .limits import HEAD_MAX_BYTES

__all__ = ["bounded_protocol"]


class _BoundedProtocol(HttpToolsProtocol):
    """Refuses a request line and headers that are too large or do not come to their end.

    httptools has no limit for either: headers would be collected for as long as they come.
    """

    head_seconds: float
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > HEAD_MAX_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
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


def bounded_protocol(head_seconds: float) -> type[asyncio.Protocol]:
    """Answer the protocol for uvicorn's `http`.

    Args:
        head_seconds: How long a request's head may take to arrive, from the connection's or the last answer's end on.
    """
    return type("BoundedProtocol", (_BoundedProtocol,), {"head_seconds": head_seconds})

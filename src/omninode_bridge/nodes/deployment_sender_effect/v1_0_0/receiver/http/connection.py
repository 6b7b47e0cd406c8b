"""A connection: bounds that the HTTP server itself does not set, and a way past it for what is large.

What it stands on inside uvicorn is named in tests/unit/receiver/http/test_connection.py, one sentence for each.
"""

import asyncio
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...errors import ErrorCode
from ..limits import HEAD_MAX_BYTES, LINGERING_MAX_BYTES, LINGERING_SECONDS
from .errors import RefusedError
from .listener import Listener
from .responses import error_response

__all__ = ["BoundedProtocol", "bounded_protocol", "connection_of"]


_EXTENSION = "deployment.connection"
_CLOSE = (b"connection", b"close")
_RECOVERY = "Send one HTTP/1.1 request at a time, with a head of up to 64 KiB, and read the response."


class _TooEarlyError(Exception):
    """The next request has begun, and the response to the one before is not out."""


class _ForAnotherError(Exception):
    """The request's target names a host of its own, as for a proxy; it would win over the header."""


class BoundedProtocol(HttpToolsProtocol):
    """Serves one request at a time, and bounds its head and the time for it, and the time to read the response.

    httptools has no limit on heads, and uvicorn queues requests whose responses nobody reads, both for as long as they
    come.
    """

    listener: Listener | None
    patience_seconds: float
    _framing_bytes = 0  # since the last byte of a body: heads, the frames of chunks, trailers
    _progress = False
    _was_asked = False  # by a whole head
    _too_early = False
    _is_over = False  # what still comes is thrown away
    _timer: asyncio.TimerHandle | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the socket's bytes are those of HTTP: not so with TLS."""
        return self.scheme == "http"

    def held(self) -> AbstractContextManager[None]:
        """Let the connection make room for no other, for the length of a `with`."""
        assert self.listener is not None  # noqa: S101 - there are no requests without one
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        return self.listener.hold(descriptor)

    def leave_body(self) -> None:
        """Say that somebody else reads on: the parser will not see the request's end, so no other may follow it."""
        if _CLOSE not in self.cycle.default_headers:
            self.cycle.default_headers = [*self.cycle.default_headers, _CLOSE]

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
        """Wait for a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what is no body."""
        if self._is_over:
            self._throw_away(len(data))
            return
        self._progress = False
        super().data_received(data)
        self._framing_bytes = 0 if self._progress else self._framing_bytes + len(data)
        if self._framing_bytes > HEAD_MAX_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        if self._timer is None:
            self._wait()

    def resume_writing(self) -> None:
        """Wait no longer, if more of the response is to come."""
        super().resume_writing()
        if self._is_serving():
            self._wait_no_longer()

    # What the parser tells

    def on_message_begin(self) -> None:
        """Take no request before the response to the last one is out."""
        # Before the first response only the handshake of TLS has written something.
        if self._is_serving() or (self._was_asked and self.transport.get_write_buffer_size()):
            self._too_early = True
            raise _TooEarlyError  # comes back as `send_400_response`
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Let the application find this connection."""
        self._progress = True
        self._wait_no_longer()
        if not self.url.startswith(b"/"):
            raise _ForAnotherError
        self.scope["extensions"] = {_EXTENSION: {"protocol": self}}
        super().on_headers_complete()
        self._was_asked = True

    def on_body(self, body: bytes) -> None:
        """See that it comes."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head, if the response came before the request's end."""
        super().on_message_complete()
        self.cycle.more_body = False
        if not self._is_serving():
            self._wait()

    # What the server does

    def on_response_complete(self) -> None:
        """Wait for the client to read the response, for the rest of its request, and for the next head."""
        super().on_response_complete()
        if self._is_over and not self.transport.is_closing():
            self._close()
        else:
            self._wait()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as its parent's
        """Refuse what is no HTTP; what came too early ends the connection, after the response that is under way."""
        if not self._too_early:
            self._refuse(HTTPStatus.BAD_REQUEST, "the request is no HTTP/1.1 request for a server (RFC 9112)")
        elif self._is_serving():
            self._is_over = True
        else:
            self._close()

    def _throw_away(self, count: int) -> None:
        self._framing_bytes += count
        if self._framing_bytes > LINGERING_MAX_BYTES:
            if self._is_serving():
                self.transport.pause_reading()
            else:
                self.transport.abort()

    def _is_serving(self) -> bool:
        return self._was_asked and not self.cycle.response_complete

    def _wait(self) -> None:
        self._wait_no_longer()
        self._framing_bytes = 0
        self._timer = self.loop.call_later(self.patience_seconds, self._too_late)

    def _wait_no_longer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()  # nobody reads it
        elif self._was_asked and self.cycle.more_body:
            self._close()  # answered long ago, and still sending
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"no request arrived within {self.patience_seconds:g} s")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if not (self.transport.is_closing() or (self._is_serving() and self.cycle.response_started)):
            self.transport.write(_written(status, message))
        self._close()

    def _close(self) -> None:
        """Close, but read on for a moment: a connection that is closed over what was not read yet is reset.

        Then the client may not come to read what was written (RFC 9112 section 9.6).
        """
        self._is_over = True
        if self._is_serving() or not self.transport.can_write_eof():  # with TLS there is no half of a connection
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()
        self._wait_no_longer()
        self._framing_bytes = 0
        self._timer = self.loop.call_later(min(self.patience_seconds, LINGERING_SECONDS), self.transport.abort)


def _written(status: HTTPStatus, message: str) -> bytes:
    code = ErrorCode.TRANSFER_FAILED if status is HTTPStatus.REQUEST_TIMEOUT else ErrorCode.VALIDATION_ERROR
    answer = error_response(RefusedError(status, message, code=code, recovery=_RECOVERY))
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [name + b": " + value for name, value in (*answer.raw_headers, _CLOSE)]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])


def connection_of(scope: Scope) -> BoundedProtocol:
    """Answer the connection that a request came on."""
    connection: BoundedProtocol = scope["extensions"][_EXTENSION]["protocol"]
    return connection


def bounded_protocol(patience_seconds: float, listener: Listener | None = None) -> type[asyncio.Protocol]:
    """Answer the protocol for uvicorn's `http`.

    Args:
        patience_seconds: How long a request's head may take to arrive, from the connection's or the last response's
            end on, and a response to be read.
        listener: Where its connections come from.
    """
    attributes: dict[str, Any] = {"patience_seconds": patience_seconds, "listener": listener}
    return type("BoundedProtocol", (BoundedProtocol,), attributes)

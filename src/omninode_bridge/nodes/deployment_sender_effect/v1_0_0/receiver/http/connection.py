"""A connection: limits that uvicorn itself does not set, and access to its socket for large uploads.

The private parts of uvicorn that it uses are named in tests/unit/receiver/http/test_connection.py, a test for each.
"""

import asyncio
from contextlib import AbstractContextManager, nullcontext
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
    """The next request has begun before the response to the last one was sent."""


class _AbsoluteTargetError(Exception):
    """The request's target is a whole URL, as for a proxy; its host would take precedence over the `Host` header."""


class BoundedProtocol(HttpToolsProtocol):
    """Serves one request at a time; limits its head, the time for it, and the time for the client to read the response.

    Without these limits httptools would parse a head of any size, and uvicorn would queue any number of requests from a
    client that does not read the responses.

    Attributes:
        listener: Where its connections come from.
        timeout_seconds: How long a request's head may take to arrive, and a response to be read.
    """

    listener: Listener | None
    timeout_seconds: float
    _framing_bytes = 0  # since the last byte of a body: heads, the frames of chunks, trailers
    _progress = False  # a head or a part of a body was completed by the last bytes
    _has_request = False  # a whole head has arrived
    _too_early = False
    _is_ending = False  # what still arrives is discarded
    _timer: asyncio.TimerHandle | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the socket carries HTTP itself, and not TLS."""
        return self.scheme == "http"

    def hold(self) -> AbstractContextManager[None]:
        """Return a context manager within which the listener does not close this connection for a newer one."""
        if self.listener is None:
            return nullcontext()
        descriptor: int = self.transport.get_extra_info("socket").fileno()
        return self.listener.hold(descriptor)

    def detach_parser(self) -> None:
        """Close the connection after the response: the parser will not see the request's end, as others read it."""
        if _CLOSE not in self.cycle.default_headers:
            self.cycle.default_headers = [*self.cycle.default_headers, _CLOSE]

    # Called by the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
        """Start the time limit for a head."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes that are not of a body."""
        if self._is_ending:
            self._discard(len(data))
            return
        self._progress = False
        super().data_received(data)
        self._framing_bytes = 0 if self._progress else self._framing_bytes + len(data)
        if self._framing_bytes > HEAD_MAX_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")

    def pause_writing(self) -> None:
        """Start the time limit for the client to read."""
        super().pause_writing()
        if self._timer is None:
            self._start_timer()

    def resume_writing(self) -> None:
        """Stop the time limit, if more of the response is to come."""
        super().resume_writing()
        if self._is_serving():
            self._stop_timer()

    # Called by the parser

    def on_message_begin(self) -> None:
        """Refuse a request that begins before the response to the last one was sent."""
        # Before the first response only the handshake of TLS has written something.
        if self._is_serving() or (self._has_request and self.transport.get_write_buffer_size()):
            self._too_early = True
            raise _TooEarlyError  # comes back as `send_400_response`
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Pass this connection on to the application, in the request's scope."""
        self._progress = True
        self._stop_timer()
        if not self.url.startswith(b"/"):
            raise _AbsoluteTargetError
        self.scope["extensions"] = {_EXTENSION: {"protocol": self}}
        super().on_headers_complete()
        self._has_request = True

    def on_body(self, body: bytes) -> None:
        """Note progress."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Start the time limit for the next head, if the response was sent before the request's end."""
        super().on_message_complete()
        self.cycle.more_body = False
        if not self._is_serving():
            self._start_timer()

    # Called by the server

    def on_response_complete(self) -> None:
        """Start the time limit for the client to read the response, and to send the next head."""
        super().on_response_complete()
        if self._is_ending and not self.transport.is_closing():
            self._close()
        else:
            self._start_timer()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - as its parent's
        """Refuse what is not HTTP. A request that came too early ends the connection after the present response."""
        if not self._too_early:
            self._refuse(HTTPStatus.BAD_REQUEST, "the request is not an HTTP/1.1 request for a server (RFC 9112)")
        elif self._is_serving():
            self._is_ending = True
        else:
            self._close()

    def _discard(self, count: int) -> None:
        self._framing_bytes += count
        if self._framing_bytes > LINGERING_MAX_BYTES:
            if self._is_serving():
                self.transport.pause_reading()
            else:
                self.transport.abort()

    def _is_serving(self) -> bool:
        return self._has_request and not self.cycle.response_complete

    def _start_timer(self) -> None:
        self._stop_timer()
        self._framing_bytes = 0
        self._timer = self.loop.call_later(self.timeout_seconds, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()  # the client does not read
        elif self._has_request and self.cycle.more_body:
            self._close()  # the response was sent long ago, and the client still sends
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"no request arrived within {self.timeout_seconds:g} s")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if not (self.transport.is_closing() or (self._is_serving() and self.cycle.response_started)):
            self.transport.write(self._encode_refusal(status, message))
        self._close()

    def _close(self) -> None:
        """Close, but read on for a moment: closing over bytes that were not read yet resets the connection.

        Then the client may lose the response before it has read it (RFC 9112 section 9.6).
        """
        self._is_ending = True
        if self._is_serving() or not self.transport.can_write_eof():  # TLS cannot close one direction alone
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()
        self._stop_timer()
        self._framing_bytes = 0
        self._timer = self.loop.call_later(min(self.timeout_seconds, LINGERING_SECONDS), self.transport.abort)

    def _encode_refusal(self, status: HTTPStatus, message: str) -> bytes:
        code = ErrorCode.TRANSFER_FAILED if status is HTTPStatus.REQUEST_TIMEOUT else ErrorCode.VALIDATION_ERROR
        response = error_response(RefusedError(status, message, code=code, recovery=_RECOVERY))
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
        headers = (*self.server_state.default_headers, *response.raw_headers, _CLOSE)
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join([*lines, b"", bytes(response.body)])


def connection_of(scope: Scope) -> BoundedProtocol:
    """Return the connection of a request."""
    connection: BoundedProtocol = scope["extensions"][_EXTENSION]["protocol"]
    return connection


def bounded_protocol(timeout_seconds: float, listener: Listener | None = None) -> type[asyncio.Protocol]:
    """Return the protocol class for uvicorn's setting `http`.

    Args:
        timeout_seconds: How long a request's head may take to arrive, from the connection's or the last response's
            end on, and a response to be read.
        listener: Where its connections come from.
    """
    attributes: dict[str, Any] = {"timeout_seconds": timeout_seconds, "listener": listener}
    return type("BoundedProtocol", (BoundedProtocol,), attributes)

"""HTTP over sockets of our own, as an adapter of requests: every connection of a call can be aborted.

http.client writes the requests and reads the responses; requests and docker-py get a `requests.Response`.
"""

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from .sockets import EngineSocket

__all__ = ["EngineAdapter", "EngineBody"]

# 1 MiB: of a body that is sent or read at once; http.client's default of 16 KB costs more time for each byte.
_BLOCK_BYTES = 1 << 20


class _Connection(HTTPConnection):
    """A connection over a socket that is opened when the first request is sent."""

    def __init__(self, host: str, open_socket: Callable[[], EngineSocket], *, without_chunks: bool) -> None:
        super().__init__(host, blocksize=_BLOCK_BYTES)
        self._netloc = host
        self._open_socket = open_socket
        self._engine_socket: EngineSocket | None = None
        self._body: EngineBody | None = None
        if without_chunks:
            self._http_vsn, self._http_vsn_str = 10, "HTTP/1.0"  # test_seams.py checks that http.client uses them

    def connect(self) -> None:
        self._engine_socket = self._open_socket()
        self._engine_socket.sock.settimeout(None)  # sending has the call's own deadline
        self.sock = self._engine_socket.sock

    @property
    def is_free(self) -> bool:
        """Whether it can take another request: the last response was read, and the engine keeps the connection."""
        if self.sock is None or self._body is None or not self._body.ended:
            return False
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        return not poller.poll(0)  # readable: the end of the file, or bytes that belong to no request

    def exchange(self, request: PreparedRequest, seconds: float | None) -> tuple[HTTPResponse, "EngineBody"]:
        """Send a request and read the head of the response; return it with its body, which is not read yet.

        Args:
            request: What to send.
            seconds: How long the engine may send nothing; None for ever.
        """
        self._body = None
        with self.errors_explained():
            try:
                self._send(request)
            except (BrokenPipeError, ConnectionResetError):
                if self.sock is None:
                    raise
                # An engine that refuses a request does not always read all of it; its response is there nevertheless.
            self.sock.settimeout(seconds)
            response = self.getresponse()
        self._body = EngineBody(response, self)
        return response, self._body

    def _send(self, request: PreparedRequest) -> None:
        # http.client itself sends a Host with HTTP/1.1 only, and encodes text as Latin-1.
        headers = {"Host": self._netloc} | {name: _text(value) for name, value in request.headers.items()}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        chunked = headers.get("Transfer-Encoding") == "chunked"
        self.request(request.method or "GET", request.path_url, body, headers, encode_chunked=chunked)

    @contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Raise the reason of a failed read or write in its place, where the socket knows it."""
        try:
            yield
        except (OSError, HTTPException) as exc:
            reason = self._engine_socket.explain(exc) if self._engine_socket else exc
            if reason is exc:
                raise
            raise reason from exc

    def close_all(self) -> None:
        """Close the connection and its response, also one that was not read to its end."""
        if self._body is not None:
            self._body.close()  # http.client leaves it open: a response may outlive its connection
        with suppress(OSError):  # an aborted connection may fail to close in order
            self.close()


class EngineBody:
    """The body of a response."""

    def __init__(self, response: HTTPResponse, connection: _Connection) -> None:
        self._response = response
        self._connection = connection

    @property
    def ended(self) -> bool:
        """Whether the body was read to its end, or closed."""
        return self._response.isclosed()

    def read(self, amount: int | None = None) -> bytes:
        """Return so many bytes, fewer only at the end; all that are left for None.

        Raises:
            HTTPException: The body ends before it should.
            OSError: The connection fails, or is silent for too long.
        """
        with self._connection.errors_explained():
            data = self._response.read(amount)
            if not data and self._response.length:  # http.client itself notices this for chunks only
                raise IncompleteRead(data, self._response.length)
        return data

    def __iter__(self) -> Iterator[bytes]:
        """Return the pieces as they arrive. Raises as `read`."""
        while data := self._read_some():
            yield data

    def _read_some(self) -> bytes:
        if not self._response.chunked:
            return self.read(_BLOCK_BYTES)
        with self._connection.errors_explained():
            return self._response.read1(_BLOCK_BYTES)

    def close(self) -> None:
        """Close the body; the rest is not read."""
        with suppress(OSError):
            self._response.close()


class EngineAdapter(BaseAdapter):
    """Sends the requests of a session to one engine, whatever host their URL names.

    Args:
        host: The `Host` header.
        open_socket: Connects to the engine.
        without_chunks: Use HTTP/1.0.
    """

    def __init__(self, host: str, open_socket: Callable[[], EngineSocket], *, without_chunks: bool = False) -> None:
        super().__init__()
        self._make = partial(_Connection, host, open_socket, without_chunks=without_chunks)
        self._connections: list[_Connection] = []

    def send(self, request: PreparedRequest, *_: Any, timeout: Any = None, **__: Any) -> Response:
        """Send a request; a connection whose last response was read is used again.

        Of what the session passes, only the time-out matters here: it reads a response that is not streamed itself,
        and TLS and proxies belong to the socket.

        Raises:
            OSError, HTTPException: The engine cannot be reached or goes away.
            TunnelError: The program that carries the connection failed.
        """
        connection = self._free() or self._new()
        head, body = connection.exchange(request, timeout)
        response = Response()
        response.status_code = head.status
        response.reason = head.reason
        response.headers = CaseInsensitiveDict(head.getheaders())
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = body
        response.url = request.url or ""
        response.request = request
        return response

    def close(self) -> None:
        """Close every connection, also those of responses that were not read to their end."""
        for connection in self._connections:
            connection.close_all()
        self._connections.clear()

    def _free(self) -> _Connection | None:
        return next((one for one in self._connections if one.is_free), None)

    def _new(self) -> _Connection:
        self._connections.append(self._make())
        return self._connections[-1]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")

"""HTTP over sockets of our own, as an adapter of requests: every connection of a call can be broken off.

http.client speaks it; requests and docker-py see a `requests.Response`.
"""

import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from .sockets import Link

__all__ = ["EngineAdapter", "EngineBody"]

# Of a body that is sent; http.client's own are 16 KB.
_BLOCK_BYTES = 1 << 20


class _Connection(HTTPConnection):
    """A connection over a link that `open_link` makes when the first request is sent."""

    def __init__(self, host: str, open_link: Callable[[], Link], *, without_chunks: bool) -> None:
        super().__init__(host, blocksize=_BLOCK_BYTES)
        self._netloc = host
        self._open_link = open_link
        self._link: Link | None = None
        self._body: EngineBody | None = None
        if without_chunks:
            self._http_vsn, self._http_vsn_str = 10, "HTTP/1.0"

    def connect(self) -> None:
        self._link = self._open_link()
        self._link.sock.settimeout(None)  # sending has the call's own deadline
        self.sock = self._link.sock

    @property
    def is_free(self) -> bool:
        """Whether it can take another request: the last response was read, and the engine keeps the connection."""
        if self.sock is None or self._body is None or not self._body.ended:
            return False
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        return not poller.poll(0)  # an end of file, or what nobody has asked for

    def ask(self, request: PreparedRequest, seconds: float | None) -> HTTPResponse:
        """Send a request and read the head of the response.

        Args:
            request: What to send.
            seconds: How long the engine may say nothing; None for ever.
        """
        self._body = None
        with self.explained():
            try:
                self._ask(request)
            except (BrokenPipeError, ConnectionResetError):
                if self.sock is None:
                    raise
                # An engine that refuses has not always read all: its response is there all the same.
            self.sock.settimeout(seconds)
            answer = self.getresponse()
        self._body = EngineBody(answer, self)
        return answer

    def _ask(self, request: PreparedRequest) -> None:
        # http.client itself has a Host for HTTP/1.1 only, and reads text as Latin-1.
        headers = {"Host": self._netloc} | {name: _text(value) for name, value in request.headers.items()}
        body = request.body.encode() if isinstance(request.body, str) else request.body
        chunked = headers.get("Transfer-Encoding") == "chunked"
        self.request(request.method or "GET", request.path_url, body, headers, encode_chunked=chunked)

    @property
    def body(self) -> "EngineBody":
        """The body of the last response."""
        assert self._body is not None  # noqa: S101 - set by ask()
        return self._body

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise what the link says about a failure of it."""
        try:
            yield
        except (OSError, HTTPException) as exc:
            reason = self._link.failure(exc) if self._link else exc
            if reason is exc:
                raise
            raise reason from exc

    def end(self) -> None:
        """Close the connection, also one whose response was not read to its end."""
        if self._body is not None:
            self._body.close()  # http.client leaves it open: a response may outlive its connection
        with suppress(OSError):  # what was broken off may fail to say good-bye
            self.close()


class EngineBody:
    """The body of a response."""

    def __init__(self, answer: HTTPResponse, connection: _Connection) -> None:
        self._answer = answer
        self._connection = connection

    @property
    def ended(self) -> bool:
        """Whether it was read to its end, or closed."""
        return self._answer.isclosed()

    def read(self, amount: int | None = None) -> bytes:
        """Read so many bytes, fewer only at the end; all that are left for None.

        Raises:
            HTTPException: The body ends before it should.
            OSError: The connection fails, or says nothing for too long.
        """
        with self._connection.explained():
            data = self._answer.read(amount)
            if not data and self._answer.length:  # http.client itself says it of chunks only
                raise IncompleteRead(data, self._answer.length)
        return data

    def __iter__(self) -> Iterator[bytes]:
        """Read what comes as it comes. Raises as `read`."""
        while data := self._read_some():
            yield data

    def _read_some(self) -> bytes:
        if not self._answer.chunked:
            return self.read(_BLOCK_BYTES)
        with self._connection.explained():
            return self._answer.read1(_BLOCK_BYTES)

    def close(self) -> None:
        """Read no more."""
        with suppress(OSError):
            self._answer.close()


class EngineAdapter(BaseAdapter):
    """Sends the requests of a session to one engine, whatever host their URL names.

    Args:
        host: The `Host` header.
        open_link: Makes a connection.
        without_chunks: Speak HTTP/1.0.
    """

    def __init__(self, host: str, open_link: Callable[[], Link], *, without_chunks: bool = False) -> None:
        super().__init__()
        self._make = partial(_Connection, host, open_link, without_chunks=without_chunks)
        self._connections: list[_Connection] = []

    def send(  # noqa: PLR0913, PLR0917 - BaseAdapter's
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - so are these; the session reads what is no stream
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> Response:
        """Send a request; a connection whose last response was read is used again.

        Raises:
            OSError, HTTPException: The engine cannot be reached or goes away.
            TunnelError: The program between us and it has failed.
        """
        connection = self._free() or self._new()
        answer = connection.ask(request, timeout)
        response = Response()
        response.status_code = answer.status
        response.reason = answer.reason
        response.headers = CaseInsensitiveDict(answer.getheaders())
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = connection.body
        response.url = request.url or ""
        response.request = request
        return response

    def close(self) -> None:
        """Close every connection, also those of responses that were not read to their end."""
        for connection in self._connections:
            connection.end()
        self._connections.clear()

    def _free(self) -> _Connection | None:
        return next((one for one in self._connections if one.is_free), None)

    def _new(self) -> _Connection:
        self._connections.append(self._make())
        return self._connections[-1]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")

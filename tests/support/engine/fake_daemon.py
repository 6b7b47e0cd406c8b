"""A Docker Engine whose responses the test chooses, byte by byte, over a real socket."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import parse_qs, urlsplit

__all__ = ["Exchange", "FakeDaemon"]


@dataclass
class Exchange:
    """One request, and the means to respond to it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    connection: socket.socket
    reader: BinaryIO
    version: str = "HTTP/1.1"
    body_read: bytes = b""
    closed: bool = False
    gone: threading.Event = field(default_factory=threading.Event)

    def body(self) -> bytes:
        """Read the whole body, once."""
        if self.body_read:
            return self.body_read
        if "content-length" in self.headers:
            self.body_read += self.reader.read(int(self.headers["content-length"]))
        elif self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.reader.readline(), 16):
                self.body_read += self.reader.read(size)
                self.reader.readline()
            self.reader.readline()
        return self.body_read

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def respond(self, body: bytes | Any = b"", status: int = 200, **headers: str) -> None:
        """Send a response with a length; anything but bytes is sent as JSON."""
        self.body()
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    def begin(self, status: int = 200) -> None:
        """Begin a chunked response."""
        self.body()
        self.send(b"HTTP/1.1 %d Status\r\nTransfer-Encoding: chunked\r\n\r\n" % status)

    def chunk(self, data: bytes | Any) -> None:
        """Send one chunk; what is not bytes goes as a line of JSON."""
        content = data if isinstance(data, bytes) else json.dumps(data).encode() + b"\r\n"
        self.send(b"%x\r\n%b\r\n" % (len(content), content))

    def end(self) -> None:
        """End a chunked response in order."""
        self.send(b"0\r\n\r\n")

    def stream(self, *chunks: bytes | Any, status: int = 200) -> None:
        """Send a whole chunked response."""
        self.begin(status)
        for chunk in chunks:
            self.chunk(chunk)
        self.end()

    def cut(self) -> None:
        """Close the connection, in the middle of whatever it is."""
        self.closed = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def wait_until_gone(self) -> None:
        """Wait until the client has closed the connection; then `gone` is set."""
        with suppress(OSError):
            while self.reader.read1(65536):  # type: ignore[attr-defined]
                pass
        self.closed = True
        self.gone.set()


class FakeDaemon:
    """Listens on a Unix socket or on loopback.

    Args:
        where: The path of a Unix socket, or None for a free port of loopback.
        tls: Speaks TLS with it if given.

    Attributes:
        docker_host: Its address.
        exchanges: Every request so far, in order, but pings.
    """

    def __init__(self, where: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        if where is None:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.docker_host = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(where))
            self._listener.listen()
            self.docker_host = f"unix://{where}"
        self.exchanges: list[Exchange] = []
        self._routes: list[tuple[str, re.Pattern[str], Callable[[Exchange], None]]] = []
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.on("GET", "/_ping", lambda exchange: exchange.respond(b"OK", Api_Version="1.41"))

    def on(self, method: str, path: str, handler: Callable[[Exchange], None]) -> None:
        """Respond to a request like this from now on; `path` is a pattern, without the API version."""
        self._routes.insert(0, (method, re.compile(path), handler))

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for opened in (self._listener, *self._connections):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for opened in (self._listener, *self._connections):
            opened.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection.dup())  # TLS detaches the original
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError, ValueError):
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            with closing(connection), closing(connection.makefile("rb")) as reader:
                for exchange in self._exchanges(connection, reader):
                    self._handler(exchange)(exchange)
                    if exchange.closed:
                        return
        plain.close()

    def _exchanges(self, connection: socket.socket, reader: BinaryIO) -> Iterator[Exchange]:
        while request := reader.readline():
            method, target, version = request.decode().split()
            headers = {}
            while line := reader.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            path = re.sub(r"^/v[0-9.]+", "", parts.path)
            exchange = Exchange(method, path, query, headers, connection, reader, version)
            if path != "/_ping":
                self.exchanges.append(exchange)
            yield exchange

    def _handler(self, exchange: Exchange) -> Callable[[Exchange], None]:
        for method, path, handler in self._routes:
            if method == exchange.method and path.fullmatch(exchange.path):
                return handler
        return lambda exchange: exchange.respond({"message": f"no route for {exchange.path}"}, 404)

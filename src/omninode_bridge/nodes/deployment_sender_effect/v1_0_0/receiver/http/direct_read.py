"""Reads the large middle of an upload in a thread, from the socket into the buffer that is hashed and written.

Through the event loop, the HTTP server and two parsers every byte would be copied four times, at half the speed
(docs/adr/0009).
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect

from ...concurrency import ThreadPool, result_when_done
from ..limits import DIRECT_READ_MIN_BYTES, PIECE_BYTES
from .connection import BoundedProtocol
from .request_body import RequestBody

__all__ = ["DirectBodyReader"]


class DirectBodyReader:
    """Reads a request's body from the socket, past the HTTP server; a context manager, used once for a request.

    Args:
        connection: The HTTP server's connection.
        body: The request's body.
        length: The body's announced length in bytes.
        workers: Threads.
    """

    def __init__(self, connection: BoundedProtocol, body: RequestBody, length: int, workers: ThreadPool) -> None:
        self._connection = connection
        self._body = body
        self._length = length
        self._workers = workers
        self._read_bytes = 0

    def remaining_bytes(self, seen_bytes: int) -> int:
        """Return how many bytes are still to come from the socket.

        Args:
            seen_bytes: How much of the body the HTTP server has handed out.
        """
        return self._length - seen_bytes - self._read_bytes - len(self._connection.cycle.body)

    def is_worthwhile(self, seen_bytes: int) -> bool:
        """Whether enough bytes remain to read them directly; `seen_bytes` is as for `remaining_bytes`."""
        return self.remaining_bytes(seen_bytes) >= DIRECT_READ_MIN_BYTES

    def __enter__(self) -> Self:
        self._connection.transport.pause_reading()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.transport.resume_reading()

    def take_buffered(self) -> bytes:
        """Return, and remove, what the HTTP server has read already and not handed out."""
        buffered = bytes(self._connection.cycle.body)
        self._connection.cycle.body.clear()
        return buffered

    async def receive(self, count: int, consume: Callable[[bytearray, int], None]) -> None:
        """Read so many bytes.

        Args:
            count: How many bytes; at most `remaining_bytes`.
            consume: Called in a thread with a buffer and the number of new bytes at its beginning, up to 1 MiB at a
                time. What it raises is raised here.

        Raises:
            RefusedError: 408, when nothing arrives for too long.
            ClientDisconnect: The client has gone.
        """
        self._connection.detach_parser()
        self._read_bytes += count
        with self._connection.transport.get_extra_info("socket").dup() as sock:
            sock.settimeout(self._body.idle_timeout_seconds)

            def end_read() -> None:
                with suppress(OSError):  # the client was first
                    sock.shutdown(socket.SHUT_RDWR)

            await result_when_done(self._workers.begin(self._read, sock, count, consume), end_read)

    def mark_complete(self) -> None:
        """Record that the body was read to its end."""
        self._body.mark_complete()

    def _read(self, sock: socket.socket, count: int, consume: Callable[[bytearray, int], None]) -> None:
        buffer = bytearray(min(count, PIECE_BYTES))
        while count:
            room = memoryview(buffer)[:count]
            count -= len(room)
            self._fill(sock, room)
            consume(buffer, len(room))

    def _fill(self, sock: socket.socket, room: memoryview) -> None:
        while room:
            try:
                received = sock.recv_into(room)
            except TimeoutError:
                raise self._body.idle_error() from None
            except OSError as exc:
                raise ClientDisconnect from exc
            if not received:
                raise ClientDisconnect
            room = room[received:]

"""The large middle of an upload, read in a thread from the socket into the buffer that it is hashed and written from.

Chunk by chunk through the event loop, the HTTP server and two parsers it would be copied four times, at half the speed.
"""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect

from ...concurrency import ThreadPool
from ..limits import PIECE_BYTES, STRAIGHT_MIN_BYTES
from .connection import BoundedProtocol
from .request_body import RequestBody

__all__ = ["DirectBodyReader"]


class DirectBodyReader:
    """Reads a connection past its HTTP server, within a `with` and at most once for each request.

    Args:
        connection: The HTTP server's.
        body: The request's body.
        length: The body's length in bytes, as announced.
        workers: Threads.
    """

    def __init__(self, connection: BoundedProtocol, body: RequestBody, length: int, workers: ThreadPool) -> None:
        self._connection = connection
        self._body = body
        self._length = length
        self._workers = workers
        self._read_bytes = 0

    def left_bytes(self, seen_bytes: int) -> int:
        """Answer what will still come from the socket, when the HTTP server has handed out so much of the body."""
        return self._length - seen_bytes - self._read_bytes - len(self._connection.cycle.body)

    def pays(self, seen_bytes: int) -> bool:
        """Tell whether enough is left."""
        return self.left_bytes(seen_bytes) >= STRAIGHT_MIN_BYTES

    def __enter__(self) -> Self:
        self._connection.transport.pause_reading()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.transport.resume_reading()

    def pending(self) -> bytes:
        """Answer, once, what the HTTP server has read already and not handed out."""
        pending = bytes(self._connection.cycle.body)
        self._connection.cycle.body.clear()
        return pending

    async def receive(self, count: int, keep: Callable[[bytearray, int], None]) -> None:
        """Read so many bytes.

        Args:
            count: How many; no more than are left.
            keep: Called in a thread with a buffer and how many bytes of it are new, up to 1 MiB at a time; what it
                raises passes through.

        Raises:
            RefusedError: 408, when nothing arrives for too long.
            ClientDisconnect: The client has gone.
        """
        self._connection.leave_body()
        self._read_bytes += count
        with self._connection.transport.get_extra_info("socket").dup() as sock:
            sock.settimeout(self._body.idle_timeout_seconds)
            work = self._workers.begin(self._read, sock, count, keep)
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                sock.shutdown(socket.SHUT_RDWR)  # the thread's read ends
                await asyncio.wait([work])
                work.exception()  # says that it was broken off; nobody else asks
                raise

    def all_read(self) -> None:
        """Say that the body was read to its end."""
        self._body.read_past()

    def _read(self, sock: socket.socket, count: int, keep: Callable[[bytearray, int], None]) -> None:
        buffer = bytearray(min(count, PIECE_BYTES))
        while count:
            room = memoryview(buffer)[:count]
            count -= len(room)
            filled = 0
            while filled < len(room):
                try:
                    came = sock.recv_into(room[filled:])
                except TimeoutError:
                    raise self._body.silent() from None
                except OSError as exc:
                    raise ClientDisconnect from exc
                if not came:
                    raise ClientDisconnect
                filled += came
            keep(buffer, filled)

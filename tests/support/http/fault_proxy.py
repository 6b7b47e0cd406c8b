"""A TCP proxy that cuts, stalls, slows and swallows what passes through it."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultProxy"]

_PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Fault:
    """The faults of one connection; none by default.

    Attributes:
        cut_after_bytes: Reset both sides once so many bytes went to the server.
        stall_after_bytes: Forward no more bytes to the server after so many, and read no more.
        bytes_per_second: Forward bytes to the server no faster.
        drop_answer: Reset the client instead of forwarding the server's response.
    """

    cut_after_bytes: int | None = None
    stall_after_bytes: int | None = None
    bytes_per_second: float | None = None
    drop_answer: bool = False


class FaultProxy:
    """Forwards connections to a server; each has the next fault, and those after the last one have none.

    Args:
        url: The server's URL.
        faults: In the order of the connections.

    Attributes:
        connections: How many connections were made.
        passed_bytes: Bytes that reached the server, all connections together.
    """

    def __init__(self, url: str, *faults: Fault) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = parts.hostname, parts.port
        self._scheme = parts.scheme
        self._faults = list(faults)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.passed_bytes = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that bytes that are not forwarded soon are not accepted either.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _PIECE_BYTES)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=_PIECE_BYTES)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self._faults.pop(0) if self._faults else Fault()
        task = asyncio.ensure_future(self._pass_on(fault, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # also when it is cancelled before it has begun

    async def _pass_on(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection(*self._target)
            up = asyncio.ensure_future(self._up(fault, reader, server_writer))
            down = asyncio.ensure_future(_down(fault, server_reader, writer))
            try:
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
                if up.done() and up.result() and not down.done():
                    await down
            finally:
                # Both before any wait, which may be cancelled: neither must stay open then.
                server_writer.close()
                writer.close()
                for task in (up, down):
                    task.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
                await _closed(server_writer)
                await _closed(writer)

    async def _up(self, fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Forward the client's bytes; return whether they ended without a fault."""
        passed = 0
        while True:
            if passed == fault.stall_after_bytes:
                await asyncio.Event().wait()
            if passed == fault.cut_after_bytes:
                _make_abrupt(writer)
                return False
            piece = await reader.read(_next_read_bytes(fault, passed))
            if not piece:
                return True
            writer.write(piece)
            await writer.drain()
            passed += len(piece)
            self.passed_bytes += len(piece)
            if fault.bytes_per_second is not None:
                await asyncio.sleep(len(piece) / fault.bytes_per_second)


def _next_read_bytes(fault: Fault, passed: int) -> int:
    ends = [end - passed for end in (fault.cut_after_bytes, fault.stall_after_bytes) if end is not None]
    slice_bytes = _PIECE_BYTES if fault.bytes_per_second is None else max(1, int(fault.bytes_per_second / 20))
    return min([slice_bytes, *ends])


async def _down(fault: Fault, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        if fault.drop_answer:
            _make_abrupt(writer)
            return
        writer.write(piece)
        await writer.drain()


def _make_abrupt(writer: asyncio.StreamWriter) -> None:
    """Let the close be a RST instead of a FIN: SO_LINGER with no time (socket(7))."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _closed(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await writer.wait_closed()

"""Puts an arriving file on the disk and hashes it, while the next piece of it arrives."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from ...concurrency import ThreadPool, result_when_done
from ...errors import DeploymentSenderError
from ...package.checksum import hasher
from ..limits import PIECE_BYTES

if TYPE_CHECKING:
    import asyncio

__all__ = ["HashingFileWriter"]


class HashingFileWriter:
    """Hashes and writes what it is fed, in a thread and in large pieces; holds two of them.

    Args:
        file: Where the bytes go; neither flushed nor closed.
        workers: Threads.
        check_size: Told how many bytes there will be in all before the next are taken; what it raises comes out.

    Attributes:
        size_bytes: What it was fed.
    """

    def __init__(self, file: BinaryIO, workers: ThreadPool, check_size: Callable[[int], None]) -> None:
        self._file = file
        self._workers = workers
        self._check_size = check_size
        self._digest = hasher()
        self._filling = memoryview(bytearray(PIECE_BYTES))
        self._other = memoryview(bytearray(PIECE_BYTES))
        self._filled = 0
        self._in_flight: asyncio.Future[None] | None = None
        self.size_bytes = 0

    async def feed(self, data: memoryview) -> None:
        """Take the next bytes; what the disk refuses comes out of a later call.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`.
        """
        self._check_size(self.size_bytes + len(data))
        self.size_bytes += len(data)
        while data:
            taken = min(len(data), PIECE_BYTES - self._filled)
            self._filling[self._filled : self._filled + taken] = data[:taken]
            self._filled += taken
            data = data[taken:]
            if self._filled == PIECE_BYTES:
                await self._send_off()

    async def feed_from(
        self, receive: Callable[[int, Callable[[bytearray, int], None]], Awaitable[None]], count: int
    ) -> None:
        """Take the next bytes from whoever reads them in a thread.

        Args:
            receive: Given their count and what to call with each piece of them there (`Straight.receive`).
            count: How many.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`.
        """
        self._check_size(self.size_bytes + count)
        await self._send_off()
        await self._landed()
        await receive(count, self._keep)

    async def finish(self) -> str:
        """Write the rest; answer the BLAKE3 of it all, 64 hex digits.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`.
        """
        await self._send_off()
        await self._landed()
        return self._digest.hexdigest()

    async def stop(self) -> None:
        """Wait until no thread uses the file; harmless after `finish`."""
        with suppress(DeploymentSenderError):
            await self._landed()

    async def _send_off(self) -> None:
        await self._landed()
        self._in_flight = self._workers.begin(self._store, self._filling[: self._filled])
        self._filling, self._other = self._other, self._filling
        self._filled = 0

    async def _landed(self) -> None:
        if self._in_flight is not None:
            await result_when_done(self._in_flight)
            self._in_flight = None

    def _keep(self, buffer: bytearray, filled: int) -> None:
        self.size_bytes += filled
        self._store(memoryview(buffer)[:filled])

    def _store(self, piece: memoryview) -> None:
        self._digest.update(piece)
        self._file.write(piece)

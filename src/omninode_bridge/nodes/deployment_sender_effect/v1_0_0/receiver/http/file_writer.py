"""Writes an arriving file to the disk and hashes it, while the next piece of it arrives."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from ...concurrency import ThreadPool, result_when_done
from ...errors import OperationError
from ...package.checksum import hasher
from ..limits import PIECE_BYTES

if TYPE_CHECKING:
    import asyncio

__all__ = ["HashingFileWriter"]


class HashingFileWriter:
    """Hashes and writes what it is given, in a thread and in large pieces; buffers two of them.

    Args:
        file: Where the bytes go; neither flushed to the disk nor closed here.
        workers: Threads.
        check_size: Called with the number of bytes in all before the next ones are taken; raises if they are too many.

    Attributes:
        size_bytes: How many bytes it was given.
    """

    def __init__(self, file: BinaryIO, workers: ThreadPool, check_size: Callable[[int], None]) -> None:
        self._file = file
        self._workers = workers
        self._check_size = check_size
        self._digest = hasher()
        self._filling = memoryview(bytearray(PIECE_BYTES))
        self._flushing = memoryview(bytearray(PIECE_BYTES))
        self._filled = 0
        self._flush: asyncio.Future[None] | None = None
        self.size_bytes = 0

    async def write(self, data: memoryview) -> None:
        """Take the next bytes; an error of the disk may be raised by a later call.

        Raises:
            StorageError: The disk refused an earlier piece.
        """
        self._check_size(self.size_bytes + len(data))
        self.size_bytes += len(data)
        while data:
            taken = min(len(data), PIECE_BYTES - self._filled)
            self._filling[self._filled : self._filled + taken] = data[:taken]
            self._filled += taken
            data = data[taken:]
            if self._filled == PIECE_BYTES:
                await self._start_flush()

    async def begin_direct(self, count: int) -> None:
        """Check the size of the next bytes, which come by `write_directly`, and write what is buffered.

        Args:
            count: How many bytes will come.

        Raises:
            StorageError: The disk refused.
        """
        self._check_size(self.size_bytes + count)
        await self._start_flush()
        await self._wait_flush()

    def write_directly(self, piece: memoryview) -> None:
        """Hash and write the next bytes in the caller's thread, after `begin_direct` has returned. Blocks.

        Raises:
            StorageError: The disk refused.
        """
        self.size_bytes += len(piece)
        self._store(piece)

    async def finish(self) -> str:
        """Write what is buffered; return the BLAKE3 of all bytes, 64 hex digits.

        Raises:
            StorageError: The disk refused.
        """
        await self._start_flush()
        await self._wait_flush()
        return self._digest.hexdigest()

    async def wait_idle(self) -> None:
        """Wait until no thread uses the file, and raise nothing; harmless after `finish`."""
        with suppress(OperationError):
            await self._wait_flush()

    async def _start_flush(self) -> None:
        await self._wait_flush()
        self._flush = self._workers.begin(self._store, self._filling[: self._filled])
        self._filling, self._flushing = self._flushing, self._filling
        self._filled = 0

    async def _wait_flush(self) -> None:
        if self._flush is not None:
            await result_when_done(self._flush)
            self._flush = None

    def _store(self, piece: memoryview) -> None:
        self._digest.update(piece)
        self._file.write(piece)

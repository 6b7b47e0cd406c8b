"""The outbox for the event loop: every operation runs in one thread of its own, one after the other."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from ..errors import DeploymentSenderError, ErrorCode
from ..ports import Delivery
from .outbox_file import OutboxFile, StoredEvent

__all__ = ["EventOutbox"]

P = ParamSpec("P")
T = TypeVar("T")

# What happened and what to do, by the primary result codes of SQLite (sqlite.org/rescode.html).
_EXPLAINED = {
    sqlite3.SQLITE_FULL: ("its disk is full", "Make room on the disk of {folder}, then publish again."),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged",
        "Move {path} away, read it with `sqlite3 FILE .recover`, publish again.",
    ),
    sqlite3.SQLITE_NOTADB: ("the file is no outbox", "Move {path} away, then publish again."),
    sqlite3.SQLITE_READONLY: ("it may not be written", "Let this user write to {folder}, then publish again."),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Let this user write to {folder}, then publish again."),
    sqlite3.SQLITE_BUSY: (
        "another process keeps it locked",
        "Find the process that has {path} open, then publish again.",
    ),
    sqlite3.SQLITE_IOERR: (
        "its disk reports an error",
        "Check the disk of {folder} and its free space, then publish again.",
    ),
}


class EventOutbox:
    """One outbox file; opened by the first operation, and again by the first after `close`.

    Args:
        path: The SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = OutboxFile(path)
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, operation: Callable[Concatenate[OutboxFile, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an operation of `OutboxFile`.

        What has begun is finished, even if the caller is cancelled meanwhile; what has not is left undone.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED, telling what is wrong with the file or its disk.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._translated(operation, *args, **kwargs)
        )

    def note_sent(self, stored: StoredEvent, delivery: Delivery) -> None:
        """Have an event marked as the broker acknowledged it, before the next operation."""
        self._file.note_sent(stored, delivery)

    def rest(self) -> None:
        """Mark what was sent and leave the delivering to other processes, after what was begun before."""
        self._thread.submit(self._file.rest)

    async def close(self) -> None:
        """Close the file and end the thread; twice is safe."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.submit(self._file.close)
            await asyncio.to_thread(executor.shutdown)

    @property
    def _thread(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outbox")
        return self._executor

    def _translated(self, operation: Callable[Concatenate[OutboxFile, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return operation(self._file, *args, **kwargs)
        except (sqlite3.Error, OSError) as exc:
            self._file.reopen_next()  # the file may be another one, or whole again, when it is next opened
            raise self._explained(exc) from exc

    def _explained(self, exc: Exception) -> DeploymentSenderError:
        primary = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        what, recovery = _EXPLAINED.get(primary, ("it cannot be used", None))
        return DeploymentSenderError(
            ErrorCode.KAFKA_PUBLISH_FAILED,
            f"the outbox {self._path} did not do its part: {what} ({exc})",
            recovery=(recovery or "Check {folder}, then publish again.").format(
                path=self._path, folder=self._path.parent
            ),
        )

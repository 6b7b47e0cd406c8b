"""The outbox for the event loop: every operation runs in one thread, one after the other.

A plain thread with a queue: the futures, locks and semaphores of an executor would take a twentieth of the half
millisecond that a publish takes.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Concatenate, ParamSpec, TypeVar

from ..errors import PublishError
from .journal import OutboxJournal
from .rescue import is_damage
from .schema import BUSY_SECONDS, OUTBOX_ERRORS, OutboxTooNewError

__all__ = ["OutboxThread"]

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# What happened and what to do, by the primary result codes of SQLite (sqlite.org/rescode.html).
_EXPLAINED = {
    sqlite3.SQLITE_FULL: ("its disk is full", "Free some space on the disk of {folder}, then publish again."),
    sqlite3.SQLITE_READONLY: ("it is not writable", "Give this user write access to {folder}, then publish again."),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Give this user write access to {folder}, then publish again."),
    sqlite3.SQLITE_BUSY: (
        "another process keeps it locked",
        "Find the process that has {path} open, then publish again.",
    ),
    sqlite3.SQLITE_IOERR: (
        "its disk reports an error",
        "Check the disk of {folder} and its free space, then publish again.",
    ),
}


class OutboxThread:
    """One outbox file; opened by the first operation, and again by the first after `close`.

    Args:
        path: The SQLite file.
        busy_seconds: How long another process may keep it locked.

    Attributes:
        journal: The file. Only `queue_acknowledged` may be called outside of the thread.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self.journal = OutboxJournal(path, busy_seconds)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, operation: Callable[Concatenate[OutboxJournal, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an operation of `OutboxJournal`; it is completed even if the caller is cancelled.

        If the file turns out to be damaged, it is renamed, and a new one gets the events that can be read from it.

        Raises:
            PublishError: The file or its disk cannot be used; the message says why.
        """
        loop, journal = asyncio.get_running_loop(), self.journal
        result: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            finish: Callable[[], None]
            try:
                finish = partial(result.set_result, operation(journal, *args, **kwargs))
            except OUTBOX_ERRORS as exc:
                finish = partial(result.set_exception, self._handle(journal, exc))
            except Exception as exc:  # noqa: BLE001 - raised where the caller waits
                finish = partial(result.set_exception, exc)
            with suppress(RuntimeError):  # the loop is closed: no caller waits any longer
                loop.call_soon_threadsafe(_finish_unless_cancelled, result, finish)

        if self._thread is None:
            # A daemon, so that a program that never calls `close` can end; SQLite takes no harm from it.
            self._thread = Thread(target=_work, args=(self._jobs,), name="outbox", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        return await result

    def start(self, operation: Callable[[OutboxJournal], None]) -> None:
        """Run an operation that raises nothing, after those under way, without waiting; only if the file is open."""
        if self._thread is not None:
            self._jobs.put(partial(operation, self.journal))

    async def close(self) -> None:
        """Close the file and end the thread; calling it twice is safe."""
        thread, jobs, journal = self._thread, self._jobs, self.journal
        if thread is not None:
            self._thread, self._jobs, self.journal = None, SimpleQueue(), OutboxJournal(self._path, self._busy_seconds)
            jobs.put(journal.close)
            jobs.put(None)
            await asyncio.to_thread(thread.join)

    def _handle(self, journal: OutboxJournal, exc: Exception) -> PublishError:
        """Repair what can be repaired, and return the error to raise."""
        journal.reopen_next()  # it may be another file, or whole again, when it is next opened
        if isinstance(exc, OutboxTooNewError):
            return self._error(
                exc,
                "a newer version of this program made it",
                "Update omninode-deployment-sender on this machine, or set PACKAGE_DIR to another folder. The file was"
                " not changed.",
            )
        if not is_damage(exc):
            return self._error(exc, *self._explained(exc))
        try:
            rescue = journal.keep_aside()
        except (sqlite3.Error, OSError) as refused:
            what, recovery = self._explained(refused)
            return self._error(exc, f"the file is damaged, and cannot be renamed: {what}", recovery)
        if rescue.aside is None:
            return self._error(exc, "another process has renamed it as damaged", "Publish again.")
        _log.warning("%s was damaged (%s) and is renamed to %s", self._path, exc, rescue.aside)
        return self._error(
            exc,
            f"the file was damaged and is renamed to {rescue.aside.name}; a new one has the {rescue.events} events"
            " that could be read",
            f"Publish again, and check the disk of {self._path.parent} (`dmesg`)."
            f" `sqlite3 {rescue.aside} .recover` shows what else the damaged file contains.",
        )

    def _explained(self, exc: Exception) -> tuple[str, str]:
        primary = sqlite3.SQLITE_BUSY if isinstance(exc, TimeoutError) else getattr(exc, "sqlite_errorcode", 0) & 0xFF
        what, recovery = _EXPLAINED.get(primary, ("an operation failed", "Check {folder}, then publish again."))
        return what, recovery.format(path=self._path, folder=self._path.parent)

    def _error(self, exc: Exception, what: str, recovery: str) -> PublishError:
        error = PublishError(f"cannot use the outbox {self._path}: {what} ({exc})", recovery=recovery)
        error.__cause__ = exc
        return error


def _work(jobs: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (job := jobs.get()) is not None:
        job()


def _finish_unless_cancelled(result: "asyncio.Future[Any]", finish: Callable[[], None]) -> None:
    if not result.cancelled():
        finish()

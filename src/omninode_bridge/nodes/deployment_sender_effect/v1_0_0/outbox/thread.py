"""The outbox for the event loop: every operation runs in one thread of its own, one after the other.

A plain thread with a queue: an executor's futures, locks and semaphores would be a twentieth of the half millisecond
that a publish takes.
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

from ..errors import DeploymentSenderError, ErrorCode
from ..ports import Delivery
from .entries import OutboxDamagedError, StoredEvent
from .journal import OutboxJournal
from .rescue import is_damage
from .schema import BUSY_SECONDS

__all__ = ["OutboxThread"]

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

# What happened and what to do, by the primary result codes of SQLite (sqlite.org/rescode.html).
_EXPLAINED = {
    sqlite3.SQLITE_FULL: ("its disk is full", "Make room on the disk of {folder}, then publish again."),
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


class OutboxThread:
    """One outbox file; opened by the first operation, and again by the first after `close`.

    Args:
        path: The SQLite file.
        busy_seconds: How long another process may keep it locked.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._file = OutboxJournal(path, busy_seconds)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    async def run(self, operation: Callable[Concatenate[OutboxJournal, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run an operation of `OutboxJournal`; it is done even if the caller is cancelled.

        A file that turns out to be damaged is kept aside, and a new one has what could be read of it.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED, telling what is wrong with the file or its disk.
        """
        loop, file = asyncio.get_running_loop(), self._file
        answer: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            set_answer: Callable[[], None]
            try:
                set_answer = partial(answer.set_result, operation(file, *args, **kwargs))
            except (sqlite3.Error, OSError, OutboxDamagedError) as exc:
                set_answer = partial(answer.set_exception, self._failed(file, exc))
            except Exception as exc:  # noqa: BLE001 - raised where the caller waits
                set_answer = partial(answer.set_exception, exc)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_unless_cancelled, answer, set_answer)

        self._begin(job)
        return await answer

    def note_sent(self, stored: StoredEvent, delivery: Delivery) -> None:
        """Have an event marked as the broker acknowledged it, before the next operation."""
        self._file.note_sent(stored, delivery)

    def rest(self) -> None:
        """Mark what was sent and leave the delivering to other processes, after what was begun before."""
        if self._thread is not None:  # closing does as much
            self._jobs.put(self._file.rest)

    async def close(self) -> None:
        """Close the file and end the thread; twice is safe."""
        thread, jobs, file = self._thread, self._jobs, self._file
        if thread is not None:
            self._thread, self._jobs, self._file = None, SimpleQueue(), OutboxJournal(self._path, self._busy_seconds)
            jobs.put(file.close)
            jobs.put(None)
            await asyncio.to_thread(thread.join)

    def _begin(self, job: Callable[[], None]) -> None:
        if self._thread is None:
            # A daemon, so that a program that forgets to close can end; SQLite takes no harm from it.
            self._thread = Thread(target=_work, args=(self._jobs,), name="outbox", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _failed(self, file: OutboxJournal, exc: Exception) -> DeploymentSenderError:
        """Say what is wrong, after doing about it what can be done."""
        file.reopen_next()  # it may be another file, or whole again, when it is next opened
        if not is_damage(exc):
            return self._error(exc, *self._explained(exc))
        try:
            rescue = file.keep_aside()
        except (sqlite3.Error, OSError) as refused:
            what, recovery = self._explained(refused)
            return self._error(exc, f"the file is damaged, and cannot be kept aside as {what}", recovery)
        if rescue.aside is None:
            return self._error(exc, "another process has kept it aside as damaged", "Publish again.")
        _log.warning("%s was damaged (%s) and is kept as %s", self._path, exc, rescue.aside)
        return self._error(
            exc,
            f"the file was damaged and is kept as {rescue.aside.name}; a new one has the {rescue.events} events of it"
            " that could be read",
            f"Publish again, and check the disk of {self._path.parent} (`dmesg`)."
            f" `sqlite3 {rescue.aside} .recover` shows what else the damaged file holds.",
        )

    def _explained(self, exc: Exception) -> tuple[str, str]:
        primary = sqlite3.SQLITE_BUSY if isinstance(exc, TimeoutError) else getattr(exc, "sqlite_errorcode", 0) & 0xFF
        what, recovery = _EXPLAINED.get(primary, ("it cannot be used", "Check {folder}, then publish again."))
        return what, recovery.format(path=self._path, folder=self._path.parent)

    def _error(self, exc: Exception, what: str, recovery: str) -> DeploymentSenderError:
        message = f"the outbox {self._path} did not do its part: {what} ({exc})"
        error = DeploymentSenderError(ErrorCode.KAFKA_PUBLISH_FAILED, message, recovery=recovery)
        error.__cause__ = exc
        return error


def _work(jobs: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (job := jobs.get()) is not None:
        job()


def _unless_cancelled(answer: "asyncio.Future[Any]", set_answer: Callable[[], None]) -> None:
    if not answer.cancelled():
        set_answer()

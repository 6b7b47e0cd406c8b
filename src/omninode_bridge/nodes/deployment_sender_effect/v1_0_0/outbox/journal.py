"""The outbox on disk: an event is written here, durably, before anything else happens to it.

One SQLite file in WAL mode, used by any number of processes on one machine. An event is accepted by a commit that is
on the disk when it returns (`synchronous=FULL`, one fsync: sqlite.org/pragma.html#pragma_synchronous). What is noted
about it later is committed without waiting for the disk: if a power cut takes that back, the event is delivered again,
and consumers dedupe.

Beside it lies a lock file. The process that has its `flock` delivers; the kernel takes the lock from a process that
dies, which a lease in the database would keep until it runs out. The order within a package does not hang on the lock:
each deliverer sends an event only after it has seen every earlier one of its key acknowledged. The lock only keeps two
processes from sending the same events side by side.

Nothing here knows asyncio; `outbox.py` runs it in a thread of its own.
"""

import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..folders import grant, make_folder
from ..ports import Delivery
from .entries import (
    Accepted,
    EventState,
    Look,
    OutboxDamagedError,
    OutboxEntry,
    StoredEvent,
    entry_of,
    stored_of,
    text_of,
)
from .envelope import Event
from .rescue import Rescue, keep_aside
from .schema import BUSY_SECONDS, FILE_MODE, identity, open_outbox

__all__ = ["KEPT_EVENTS", "OutboxJournal"]

KEPT_EVENTS = 10_000
"""Sent events stay listed while they are among the newest 10,000; their value goes when they are sent."""

_PRUNE_EVERY_EVENTS = 256
_KEYS_AT_ONCE = 1_000
_ENTRY = 'event_id, event_type, topic, key, accepted_at, state, attempts, last_error, partition, "offset", sent_at'


class OutboxJournal:
    """The outbox, made when first used; every method may raise `sqlite3.Error`, `OSError` or `OutboxDamagedError`.

    Args:
        path: The SQLite file; the lock file has the same name with `.lock`.
        busy_seconds: How long another process may keep it locked.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._opened: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock: int | None = None
        self._sent: deque[tuple[StoredEvent, Delivery, str]] = deque()

    def note_sent(self, stored: StoredEvent, delivery: Delivery) -> None:
        """Have the next operation mark an event as the broker acknowledged it; any thread may call this."""
        self._sent.append((stored, delivery, _now()))

    def settle(self) -> None:
        """Mark what was sent."""
        if self._sent:
            with self._without_fsync(), self._transaction():
                pass

    def accept(self, event: Event) -> StoredEvent:
        """Write an event; when this returns, it is on the disk."""
        with self._transaction():
            return self._insert(event)

    def accept_to_deliver(self, event: Event) -> Accepted:
        """Write an event and take the right to deliver, in one go, as a caller waits for both."""
        owned = self.own()
        with self._transaction():
            (others,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM events WHERE state <> 'sent')").fetchone()
            stored = self._insert(event)
        return Accepted(stored, owned, alone=not others)

    def own(self) -> bool:
        """Take the right to deliver; False if another process has it."""
        if self._lock is None:
            make_folder(self._path.parent)
            lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                grant(lock, FILE_MODE)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._lock = lock
        return True

    def look(self, stored: StoredEvent) -> Look:
        """Tell what has become of an event, and take the right to deliver if no other process has it."""
        self.settle()
        owned = self.own()  # first: what another process sent before it gave up the right is seen then
        row = self._db.execute(
            f"SELECT {_ENTRY} FROM events WHERE seq = ? AND event_id = ?",  # noqa: S608
            (stored.seq, stored.event.event_id),
        ).fetchone()
        return Look(owned, None if row is None else entry_of(row))

    def waiting_keys(self) -> list[str]:
        """Keys whose first unsent event waits, longest waiting first; at most 1,000 of them."""
        self.settle()
        # SQLite takes a bare column from the row that min() found: sqlite.org/lang_select.html#bareagg
        rows = self._db.execute(
            "SELECT key FROM (SELECT key, min(seq) AS first, state FROM events WHERE state <> 'sent' GROUP BY key)"
            " WHERE state = 'waiting' ORDER BY first LIMIT ?",
            (_KEYS_AT_ONCE,),
        )
        return [key for (key,) in rows]

    def head(self, key: str) -> StoredEvent | None:
        """The first event of a key that is not sent."""
        self.settle()
        row = self._db.execute(
            "SELECT seq, state, last_error, event_id, event_type, topic, key, value FROM events"
            " WHERE state <> 'sent' AND key = ? ORDER BY seq LIMIT 1",
            (key,),
        ).fetchone()
        return None if row is None else stored_of(row)

    def note_failure(self, stored: StoredEvent, reason: str, *, for_good: bool) -> None:
        """Mark a failed attempt; `for_good` sets the event aside, and with it what comes after it of its key."""
        state = EventState.FAILED if for_good else EventState.WAITING
        with self._without_fsync(), self._transaction():
            self._db.execute(
                "UPDATE events SET state = ?, last_error = ?, attempts = attempts + 1"
                " WHERE seq = ? AND event_id = ? AND state <> 'sent'",
                (state, reason, stored.seq, stored.event.event_id),
            )

    def retry_failed(self) -> None:
        """Let every event that was set aside wait again."""
        with self._transaction():
            self._db.execute("UPDATE events SET state = 'waiting' WHERE state <> 'sent' AND state = 'failed'")

    def drop(self, event_id: str) -> bool:
        """Forget an event that was set aside; False if there is none of that id."""
        with self._transaction():
            cursor = self._db.execute(
                "DELETE FROM events WHERE state <> 'sent' AND state = 'failed' AND event_id = ?", (event_id,)
            )
        return cursor.rowcount > 0

    def entries(self, limit: int) -> list[OutboxEntry]:
        """List the newest events first."""
        self.settle()
        return [
            entry_of(row)
            for row in self._db.execute(f"SELECT {_ENTRY} FROM events ORDER BY seq DESC LIMIT ?", (limit,))  # noqa: S608
        ]

    def counts(self) -> dict[EventState, int]:
        """Count the events of each state."""
        self.settle()
        found = dict(self._db.execute("SELECT state, count(*) FROM events GROUP BY state").fetchall())
        counts = {state: found.pop(state, 0) for state in EventState}
        if found:
            raise OutboxDamagedError("it holds events in a state that there is not")
        return counts

    def rest(self) -> None:
        """Mark what was sent, and leave the delivering to other processes."""
        try:
            with suppress(sqlite3.Error, OSError):  # the next operation tries again, and tells
                self.settle()
        finally:
            lock, self._lock = self._lock, None
            if lock is not None:
                os.close(lock)

    def close(self) -> None:
        """Rest, and close the file."""
        self.rest()
        self.reopen_next()

    def reopen_next(self) -> None:
        """Close the file; the next operation opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def keep_aside(self) -> Rescue:
        """Keep the file aside as damaged; the next operation opens the new one."""
        self.reopen_next()
        return keep_aside(self._path, self._identity, self._busy_seconds)

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is not None and not self._opened.in_transaction and self._was_replaced():
            self.reopen_next()
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> sqlite3.Connection:
        while True:
            self._identity = identity(self._path)
            opened = open_outbox(self._path, self._busy_seconds)
            if not self._was_replaced():
                opened.text_factory = text_of
                return opened
            opened.close()  # it was made just now, or another process has replaced it meanwhile

    def _was_replaced(self) -> bool:
        """Tell whether another process has kept the file aside."""
        return self._identity != identity(self._path)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what was sent, and what the body writes; what is taken back is noted again by the next."""
        sent = tuple(self._sent)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for stored, delivery, sent_at in sent:
                self._mark_sent(stored, delivery, sent_at)
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # after some errors SQLite has done it by itself
                self._db.execute("ROLLBACK")
            raise
        if self._was_replaced():
            raise OutboxDamagedError("another process has found it damaged")
        for _ in sent:
            self._sent.popleft()

    def _insert(self, event: Event) -> StoredEvent:
        seq = self._db.execute(
            "INSERT INTO events (event_id, event_type, topic, key, value, accepted_at) VALUES (?, ?, ?, ?, ?, ?)",
            (event.event_id, event.event_type, event.topic, event.key, event.value, _now()),
        ).lastrowid
        assert seq is not None  # noqa: S101 - an INSERT has one
        return StoredEvent(seq, event, EventState.WAITING, None)

    def _mark_sent(self, stored: StoredEvent, delivery: Delivery, sent_at: str) -> None:
        self._db.execute(
            "UPDATE events SET state = 'sent', value = NULL, last_error = NULL, attempts = attempts + 1,"
            ' partition = ?, "offset" = ?, sent_at = ? WHERE seq = ? AND event_id = ?',
            (delivery.partition, delivery.offset, sent_at, stored.seq, stored.event.event_id),
        )
        if stored.seq % _PRUNE_EVERY_EVENTS == 0:
            self._db.execute("DELETE FROM events WHERE seq <= ? AND state = 'sent'", (stored.seq - KEPT_EVENTS,))

    @contextmanager
    def _without_fsync(self) -> Iterator[None]:
        """Commit to the file, not to the disk; only a power cut can take that back."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")


def _now() -> str:
    return datetime.now(UTC).isoformat()

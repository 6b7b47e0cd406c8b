"""The outbox on disk: an event is written here, durably, before it is sent.

One SQLite file in WAL mode, used by any number of processes on one machine. An event is accepted by a commit that is
on the disk when it returns (`synchronous=FULL`, one fsync: sqlite.org/pragma.html#pragma_synchronous). Later changes of
its state are committed without waiting for the disk: if a power cut takes one back, the event is delivered again, and
consumers dedupe.

The process that has the delivery lock delivers. The order within a key does not depend on the lock: each process sends
an event only after every earlier one of its key was acknowledged. The lock only keeps two processes from sending the
same events side by side.

Nothing here uses asyncio; `thread.py` runs it in a thread.
"""

import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..ports import Delivery
from .delivery_lock import DeliveryLock
from .entries import (
    Accepted,
    EventState,
    EventStatus,
    OutboxDamagedError,
    OutboxEntry,
    StoredEvent,
    decode_text,
    read_entry,
    read_stored,
)
from .envelope import Event
from .rescue import Rescue, keep_aside
from .schema import BUSY_SECONDS, OUTBOX_ERRORS, identity, open_outbox

__all__ = ["KEPT_EVENTS", "OutboxJournal"]

KEPT_EVENTS = 10_000
"""Sent events stay listed while they are among the newest 10,000; their value is deleted when they are sent."""

_PRUNE_EVERY_EVENTS = 256  # so that a commit rarely has rows to delete
_KEYS_AT_ONCE = 1_000  # such a list takes about 2 ms to read; the next keys follow when it is finished
_SELECT_ENTRIES = (
    'SELECT event_id, event_type, topic, key, accepted_at, state, attempts, last_error, partition, "offset", sent_at'
    " FROM events"
)


class OutboxJournal:
    """The outbox's file, made when first used.

    Every method may raise the `OUTBOX_ERRORS`.

    Args:
        path: The SQLite file; the lock file has the same name with `.lock`.
        busy_seconds: How long another process may keep it locked.
    """

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._opened: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._lock = DeliveryLock(path.with_suffix(".lock"))
        self._acknowledged: deque[tuple[StoredEvent, Delivery, str]] = deque()

    # The delivery lock.

    def acquire_delivery_lock(self) -> bool:
        """Acquire the right to deliver; return False if another process has it."""
        return self._lock.acquire()

    def release_delivery_lock(self) -> None:
        """Commit what was acknowledged, and let other processes deliver."""
        try:
            with suppress(*OUTBOX_ERRORS):  # the next operation tries again, and raises
                self.commit_acknowledged()
        finally:
            self._lock.release()

    # Events.

    def accept(self, event: Event) -> StoredEvent:
        """Write an event; when this returns, it is on the disk."""
        with self._transaction():
            return self._insert(event)

    def accept_to_deliver(self, event: Event) -> Accepted:
        """Write an event and acquire the delivery lock in one operation, as a caller waits for both."""
        has_lock = self.acquire_delivery_lock()
        with self._transaction():
            (others,) = self._db.execute("SELECT EXISTS (SELECT 1 FROM events WHERE state <> 'sent')").fetchone()
            stored = self._insert(event)
        return Accepted(stored, has_lock, alone=not others)

    def queue_acknowledged(self, stored: StoredEvent, delivery: Delivery) -> None:
        """Have the next operation mark an event as sent, as the broker acknowledged it; any thread may call this."""
        self._acknowledged.append((stored, delivery, _now()))

    def commit_acknowledged(self) -> None:
        """Mark the events that were acknowledged as sent."""
        if self._acknowledged:
            with self._without_fsync(), self._transaction():
                pass

    def event_status(self, stored: StoredEvent) -> EventStatus:
        """Return the present state of an event, and acquire the delivery lock if no other process has it."""
        self.commit_acknowledged()
        # The lock comes first: then the row shows what another process sent before it released the lock.
        has_lock = self.acquire_delivery_lock()
        row = self._db.execute(
            _SELECT_ENTRIES + " WHERE seq = ? AND event_id = ?", (stored.seq, stored.event.event_id)
        ).fetchone()
        return EventStatus(has_lock, None if row is None else read_entry(row))

    def waiting_keys(self) -> list[str]:
        """Return the keys whose first unsent event waits, longest waiting first; at most 1,000 of them."""
        self.commit_acknowledged()
        # SQLite takes a bare column from the row that min() found: sqlite.org/lang_select.html#bareagg
        rows = self._db.execute(
            "SELECT key FROM (SELECT key, min(seq) AS first, state FROM events WHERE state <> 'sent' GROUP BY key)"
            " WHERE state = 'waiting' ORDER BY first LIMIT ?",
            (_KEYS_AT_ONCE,),
        )
        return [key for (key,) in rows]

    def next_unsent(self, key: str) -> StoredEvent | None:
        """Return the first event of a key that is not sent."""
        self.commit_acknowledged()
        row = self._db.execute(
            "SELECT seq, state, last_error, event_id, event_type, topic, key, value FROM events"
            " WHERE state <> 'sent' AND key = ? ORDER BY seq LIMIT 1",
            (key,),
        ).fetchone()
        return None if row is None else read_stored(row)

    def record_failure(self, stored: StoredEvent, reason: str, *, for_good: bool) -> None:
        """Record a failed attempt; `for_good` also stops the later events of its key."""
        state = EventState.FAILED if for_good else EventState.WAITING
        with self._without_fsync(), self._transaction():
            self._db.execute(
                "UPDATE events SET state = ?, last_error = ?, attempts = attempts + 1"
                " WHERE seq = ? AND event_id = ? AND state <> 'sent'",
                (state, reason, stored.seq, stored.event.event_id),
            )

    def retry_failed(self) -> None:
        """Let every failed event wait again."""
        with self._transaction():
            self._db.execute("UPDATE events SET state = 'waiting' WHERE state <> 'sent' AND state = 'failed'")

    def drop(self, event_id: str) -> bool:
        """Delete a failed event; return False if there is none with that id."""
        with self._transaction():
            cursor = self._db.execute(
                "DELETE FROM events WHERE state <> 'sent' AND state = 'failed' AND event_id = ?", (event_id,)
            )
        return cursor.rowcount > 0

    def entries(self, limit: int) -> list[OutboxEntry]:
        """List the newest events first."""
        self.commit_acknowledged()
        rows = self._db.execute(_SELECT_ENTRIES + " ORDER BY seq DESC LIMIT ?", (limit,))
        return [read_entry(row) for row in rows]

    def counts(self) -> dict[EventState, int]:
        """Count the events of each state."""
        self.commit_acknowledged()
        found = dict(self._db.execute("SELECT state, count(*) FROM events GROUP BY state").fetchall())
        counts = {state: found.pop(state, 0) for state in EventState}
        if found:
            raise OutboxDamagedError("it contains events in an unknown state")
        return counts

    # The file.

    def close(self) -> None:
        """Release the delivery lock and close the file."""
        self.release_delivery_lock()
        self.reopen_next()

    def reopen_next(self) -> None:
        """Close the file; the next operation opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def keep_aside(self) -> Rescue:
        """Rename the damaged file; the next operation opens the new one."""
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
                opened.text_factory = decode_text
                return opened
            opened.close()  # it was made just now, or another process has replaced it meanwhile

    def _was_replaced(self) -> bool:
        """Whether another process has put a new file in the place of a damaged one."""
        return self._identity != identity(self._path)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what was acknowledged and what the body writes; what is rolled back stays queued for the next."""
        acknowledged = tuple(self._acknowledged)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for stored, delivery, sent_at in acknowledged:
                self._mark_sent(stored, delivery, sent_at)
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # after some errors SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            raise
        if self._was_replaced():
            raise OutboxDamagedError("another process found it damaged")
        for _ in acknowledged:
            self._acknowledged.popleft()

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
        """Commit to the file without waiting for the disk; only a power cut can take that back."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")


def _now() -> str:
    return datetime.now(UTC).isoformat()

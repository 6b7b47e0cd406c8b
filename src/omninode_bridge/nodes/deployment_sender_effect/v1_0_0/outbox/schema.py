"""Opens the outbox's SQLite file, and makes it if there is none, for this user only: events may contain secrets.

A new file is made under another name and renamed when it is complete. So an empty file in its place is damaged.

`PRAGMA user_version` is the version of the schema (sqlite.org/pragma.html#pragma_user_version): 1 in every release.
"""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ..folders import FOLDER_FLAGS, grant, make_folder, sync_folder
from .entries import OutboxDamagedError

__all__ = [
    "BUSY_SECONDS",
    "FILE_MODE",
    "INSERT_ROW",
    "OUTBOX_ERRORS",
    "SELECT_ROWS",
    "OutboxTooNewError",
    "beside",
    "identity",
    "locked_folder",
    "make_outbox",
    "move_aside",
    "open_outbox",
]

_log = logging.getLogger(__name__)

FILE_MODE = 0o600
"""Of the outbox; SQLite gives the files beside it the same mode."""

BUSY_SECONDS = 3.0
"""How long another process may hold the file's write lock, which it needs for a few ms."""

SELECT_ROWS = (
    "SELECT seq, event_id, event_type, topic, key, value, accepted_at, state, attempts, last_error, partition,"
    ' "offset", sent_at FROM events'
)
"""Reads all columns of the only table, in the order of `INSERT_ROW`."""

INSERT_ROW = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
"""Writes all columns."""

# While the write-ahead log grows, a commit takes 0.25 ms, as its size must be durable too; once it overwrites an older
# log, 0.15 ms. An event takes three pages: so that is from the 32nd event on, and with SQLite's default of 1,000 pages
# from the 320th. Every 32nd commit takes 0.5 ms, to copy the log into the file.
_CHECKPOINT_PAGES = 100
_ENDS = ("", "-wal", "-shm")  # of the names of the files of an outbox: sqlite.org/tempfiles.html
_LOCK_POLL_SECONDS = 0.01  # another process has the folder locked for some ms
_SCHEMA_VERSION = 1
_SCHEMA = f"""
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB,
    accepted_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    partition INTEGER,
    "offset" INTEGER,
    sent_at TEXT
);
CREATE INDEX events_unsent ON events (key, seq, state) WHERE state <> 'sent';
PRAGMA user_version = {_SCHEMA_VERSION};
"""


class OutboxTooNewError(Exception):
    """A newer version of this program has made the file."""


OUTBOX_ERRORS = (sqlite3.Error, OSError, OutboxDamagedError, OutboxTooNewError)
"""Everything that an operation on the file may raise."""


def open_outbox(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file in WAL mode; every statement is a transaction, and every commit waits for the disk.

    Args:
        path: The file; made if there is none.
        busy_seconds: How long another process may keep it locked, now and later.

    Raises:
        OutboxDamagedError: It is not an outbox, or not a whole one.
        OutboxTooNewError: A newer version of this program has made it; it is not changed.
        sqlite3.Error: It cannot be opened.
        OSError: It cannot be made.
    """
    make_folder(path.parent)
    if not os.path.lexists(path):
        with locked_folder(path.parent, busy_seconds):
            if not os.path.lexists(path):
                _, moved = move_aside(path)  # SQLite would apply a log that is left to the new file
                for old, new in moved.items():
                    _log.warning("%s belonged to an outbox that is gone, and is renamed to %s", old, new)
                make_outbox(path)
    if path.stat().st_size == 0:  # SQLite would make a new database of it, and remove the log beside it
        raise OutboxDamagedError("it is empty")
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        _check(db, path)
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    except BaseException:
        db.close()
        raise
    return db


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode, which differ for a new file of the same name; None if there is no file."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


@contextmanager
def locked_folder(folder: Path, busy_seconds: float) -> Iterator[None]:
    """Keep other processes from making or replacing an outbox in a folder.

    Raises:
        TimeoutError: Another process keeps it locked.
        OSError: The folder cannot be opened.
    """
    deadline = time.monotonic() + busy_seconds
    descriptor = os.open(folder, FOLDER_FLAGS)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{folder} is locked") from exc
                time.sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def make_outbox(path: Path, rows: Iterable[tuple[object, ...]] = ()) -> None:
    """Make an outbox; call this with the folder locked, and only if there is none.

    Args:
        path: Its name; it exists from when it is complete and durable.
        rows: Its first events, as `SELECT_ROWS` reads them.

    Raises:
        sqlite3.Error: It cannot be written.
        OSError: It cannot be written.
    """
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            grant(descriptor, FILE_MODE)
            _fill(draft, rows)
            os.fsync(descriptor)
        finally:
            # Before the rename: closing a file releases the locks that SQLite has on it (sqlite.org/howtocorrupt.html).
            os.close(descriptor)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_aside(path: Path) -> tuple[Path, dict[Path, Path]]:
    """Rename an outbox and the files beside it, durably; call this with the folder locked.

    Returns:
        The new name, and for each file that existed its old and its new name.

    Raises:
        OSError: A rename failed; all files have their old names.
    """
    stamp, number = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), 1
    aside = path.with_stem(f"{path.stem}.damaged-{stamp}")
    while any(beside(aside, end).exists() for end in _ENDS):
        number += 1
        aside = path.with_stem(f"{path.stem}.damaged-{stamp}-{number}")
    moved: dict[Path, Path] = {}
    try:
        for old, new in ((beside(path, end), beside(aside, end)) for end in _ENDS):
            if os.path.lexists(old):
                old.rename(new)
                moved[old] = new
        sync_folder(path.parent)
    except OSError:
        for old, new in moved.items():
            new.rename(old)
        raise
    return aside, moved


def beside(path: Path, end: str) -> Path:
    """Return the name of a file that SQLite keeps beside a database, such as `-wal`."""
    return path.with_name(path.name + end)


def _fill(draft: Path, rows: Iterable[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")  # an incomplete file is deleted, and a complete one synced once
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_SCHEMA)
        db.execute("BEGIN")
        db.executemany(INSERT_ROW, rows)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Check that it is a whole outbox, as far as SQLite can check: 13 ms for ten thousand sent events."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise OutboxTooNewError(
            f"its schema has version {version}, and this program supports version {_SCHEMA_VERSION}"
        )
    (page_bytes,), (pages,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count"))
    # SQLite fills up a page that is cut with zeros. Pages in the log need not be in the file yet; this connection keeps
    # another one from removing the log meanwhile.
    log = beside(path, "-wal")
    if not (log.exists() and log.stat().st_size) and path.stat().st_size < pages * page_bytes:
        raise OutboxDamagedError("its end is missing")
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise OutboxDamagedError(str(found))
    if version != _SCHEMA_VERSION or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        raise OutboxDamagedError("it is not an outbox")

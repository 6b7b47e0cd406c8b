"""Opens the outbox's SQLite file, and makes it where there is none, for this user only: events may hold secrets.

A new one is made under another name and comes to its own when it is finished, so that an empty file in its place is
none of ours, but a damaged one.
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
    "COLUMNS",
    "FILE_MODE",
    "beside",
    "identity",
    "locked_folder",
    "make_outbox",
    "move_aside",
    "open_outbox",
]

_log = logging.getLogger(__name__)

FILE_MODE = 0o600
"""Of the outbox; SQLite makes the files beside it alike."""

BUSY_SECONDS = 3.0
"""How long another process may hold the file's write lock, which it needs for a few ms."""

COLUMNS = (
    'seq, event_id, event_type, topic, key, value, accepted_at, state, attempts, last_error, partition, "offset",'
    " sent_at"
)
"""All columns of the one table, in order."""

# While the write-ahead log grows, a commit takes 0.25 ms, as its size must be durable, too; once it writes over an
# older one, 0.15. With three pages for an event that is from the 32nd on, with SQLite's own 1,000 pages from the 320th.
# Every 32nd takes 0.5 ms, for the copying.
_CHECKPOINT_PAGES = 100
_ENDS = ("", "-wal", "-shm")  # of the names of an outbox's files
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


def open_outbox(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open the file, in WAL mode, so that every statement is a transaction and every commit waits for the disk.

    Args:
        path: The file; made where there is none.
        busy_seconds: How long another process may keep it locked, then and later.

    Raises:
        OutboxDamagedError: It is no outbox, or not a whole one.
        sqlite3.Error: It cannot be opened, or is an outbox of a later version.
        OSError: It cannot be made.
    """
    make_folder(path.parent)
    if not os.path.lexists(path):
        with locked_folder(path.parent, busy_seconds):
            if not os.path.lexists(path):
                _, moved = move_aside(path)  # SQLite would take a log that is left for that of the new file
                for old, new in moved.items():
                    _log.warning("%s was left of an outbox that is gone, and is kept as %s", old, new)
                make_outbox(path)
    if path.stat().st_size == 0:  # SQLite would make a new one of it, and remove the log beside it
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
    """Return what tells a file from another one that takes its name; None where there is none."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_dev, status.st_ino
    return None


@contextmanager
def locked_folder(folder: Path, busy_seconds: float) -> Iterator[None]:
    """Keep other processes from making or replacing an outbox in a folder.

    Raises:
        TimeoutError: Another one does so all the time.
        OSError: The folder cannot be opened.
    """
    give_up = time.monotonic() + busy_seconds
    descriptor = os.open(folder, FOLDER_FLAGS)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > give_up:
                    raise TimeoutError(f"{folder} is locked") from exc
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def make_outbox(path: Path, rows: Iterable[tuple[object, ...]] = ()) -> None:
    """Make an outbox; call it with the folder locked, and where there is none.

    Args:
        path: Its name; it is there when it is whole and durable.
        rows: What it holds from the beginning, in the order of `COLUMNS`.

    Raises:
        sqlite3.Error: The disk refuses.
        OSError: The disk refuses.
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
            # Before it has its name: closing it takes from SQLite the locks it has (sqlite.org/howtocorrupt.html).
            os.close(descriptor)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_aside(path: Path) -> tuple[Path, dict[Path, Path]]:
    """Give an outbox another name, durably, with what is beside it; call it with the folder locked.

    Returns:
        The new name, and the new name of each file that there was.

    Raises:
        OSError: The disk refuses; all have their old names.
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
    """Return the name of a file that SQLite keeps beside another one."""
    return path.with_name(path.name + end)


def _fill(draft: Path, rows: Iterable[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(draft, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")  # what is half done is thrown away, and the end is synced once
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_SCHEMA)
        places = ", ".join("?" for _ in COLUMNS.split(","))
        db.execute("BEGIN")
        db.executemany(f"INSERT INTO events ({COLUMNS}) VALUES ({places})", rows)  # noqa: S608
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")


def _check(db: sqlite3.Connection, path: Path) -> None:
    """See that it is an outbox and whole, as far as SQLite can tell: 13 ms for ten thousand sent events."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, and this program knows version {_SCHEMA_VERSION}")
    (page_bytes,), (pages,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_size", "page_count"))
    # A page that is cut is filled up with zeros by SQLite. What the log has need not be in the file yet; our own
    # connection keeps the log from going meanwhile.
    log = beside(path, "-wal")
    if not (log.exists() and log.stat().st_size) and path.stat().st_size < pages * page_bytes:
        raise OutboxDamagedError("its end is missing")
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise OutboxDamagedError(str(found))
    if version != _SCHEMA_VERSION or not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
        raise OutboxDamagedError("it is no outbox")

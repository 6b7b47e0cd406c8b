"""Opens the outbox's SQLite file, and makes it where there is none, for this user only: events may hold secrets."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["FILE_MODE", "make_folder", "open_outbox"]

FILE_MODE = 0o600
"""Of the outbox; SQLite makes the files beside it alike."""

_FOLDER_MODE = 0o700

_BUSY_TIMEOUT_SECONDS = 3.0  # how long another process may hold the file's write lock; a commit holds it for a few ms
# While the write-ahead log grows, a commit takes 0.25 ms, as its size must be durable, too; once it writes over an
# older one, 0.15. With three pages for an event that is from the 32nd on, with SQLite's own 1,000 pages from the 320th.
# Every 32nd takes 0.5 ms, for the copying.
_CHECKPOINT_PAGES = 100
_SCHEMA_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (
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
CREATE INDEX IF NOT EXISTS events_unsent ON events (key, seq, state) WHERE state <> 'sent';
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""


def open_outbox(path: Path) -> sqlite3.Connection:
    """Open the file, in WAL mode, so that every statement is a transaction and every commit waits for the disk.

    Raises:
        sqlite3.Error: It cannot be opened, is no outbox, or is one of a later version.
        OSError: Its folder cannot be made.
    """
    make_folder(path.parent)
    # Only a new one: closing one that is there takes from SQLite the locks it has (sqlite.org/howtocorrupt.html).
    with suppress(OSError):  # SQLite tells what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, for this user only; one that is there is left as it is."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(_FOLDER_MODE, exist_ok=True)


def _prepare(db: sqlite3.Connection) -> None:
    give_up = time.monotonic() + _BUSY_TIMEOUT_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as exc:
            # Two processes make the file at once: this is the one statement that SQLite's own waiting does not cover.
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(_SCHEMA)
    elif version != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, and this program knows version {_SCHEMA_VERSION}")

"""Opens the outbox's SQLite file, and makes it where there is none."""

import sqlite3
import time
from pathlib import Path

__all__ = ["open_outbox"]

_BUSY_TIMEOUT_SECONDS = 3.0  # how long another process may hold the file's write lock; a commit holds it for a few ms
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
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


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
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        db.executescript(_SCHEMA)
    elif version != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"it has version {version}, and this program knows version {_SCHEMA_VERSION}")

"""Opening and making the outbox's file."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.events.outbox_schema import open_outbox


def lock(path: Path) -> sqlite3.Connection:
    """Lock the file, as another process does for a moment while it makes it."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    return db


def test_while_another_process_makes_it_this_one_waits(tmp_path: Path) -> None:
    """SQLite itself does not, for this one statement."""
    other = lock(tmp_path / "outbox.sqlite3")
    closing = threading.Timer(0.1, other.close)
    closing.start()

    db = open_outbox(tmp_path / "outbox.sqlite3")

    assert ("wal",) == db.execute("PRAGMA journal_mode").fetchone()
    db.close()
    closing.join()


def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A few seconds."""
    other = lock(tmp_path / "outbox.sqlite3")
    started = time.monotonic()
    try:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            open_outbox(tmp_path / "outbox.sqlite3")
    finally:
        other.close()

    assert 2 < time.monotonic() - started < 10

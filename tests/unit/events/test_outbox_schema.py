"""Opening and making the outbox's file."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.events.outbox_schema import open_outbox

_LAST_USER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT count(*) FROM events").fetchone()
db.close()
"""


def lock(path: Path) -> sqlite3.Connection:
    """Lock the file, as another process does for a moment while it makes it."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN EXCLUSIVE")
    return db


def modes(*paths: Path) -> list[str]:
    """Who may do what with them."""
    return [oct(stat.S_IMODE(path.stat().st_mode)) for path in paths]


def test_it_is_for_this_user_only(tmp_path: Path) -> None:
    """With what SQLite keeps beside it, and every folder that had to be made."""
    path = tmp_path / "above" / "store" / "outbox.sqlite3"
    db = open_outbox(path)

    assert ["0o700", "0o700"] == modes(path.parent.parent, path.parent)
    assert dict.fromkeys((path.name, f"{path.name}-shm", f"{path.name}-wal"), "0o600") == {
        one.name: modes(one)[0] for one in path.parent.iterdir()
    }
    db.close()


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """Somebody may have given it to others."""
    path = tmp_path / "store" / "outbox.sqlite3"
    open_outbox(path).close()
    path.parent.chmod(0o750)
    path.chmod(0o640)

    open_outbox(path).close()

    assert ["0o750", "0o640"] == modes(path.parent, path)


def test_opening_it_again_takes_no_lock_from_who_has_it(tmp_path: Path) -> None:
    """As closing a descriptor of it would: another process would then take the log from under it."""
    path = tmp_path / "outbox.sqlite3"
    first = open_outbox(path)
    first.execute("SELECT count(*) FROM events").fetchone()
    open_outbox(path).close()

    subprocess.run([sys.executable, "-c", _LAST_USER, str(path)], check=True)

    assert (tmp_path / "outbox.sqlite3-wal").exists()
    first.close()


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

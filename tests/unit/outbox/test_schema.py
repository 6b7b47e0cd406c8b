"""How the outbox's file is opened and made."""

import fcntl
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState, OutboxDamagedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.envelope import Event
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.schema import (
    OutboxTooNewError,
    identity,
    make_outbox,
    open_outbox,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.kafka.events import an_event

_LAST_USER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT count(*) FROM events").fetchone()
db.close()
"""

# The schema of release 1.0.0, as its program wrote it.
_VERSION_1 = """
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
INSERT INTO events VALUES
    (1, 'id-1', 'BUILD_STARTED', 'topic', 'a', NULL, '2026-01-01T00:00:00+00:00', 'sent', 1, NULL, 2, 17,
     '2026-01-01T00:00:01+00:00'),
    (2, 'id-2', 'BUILD_COMPLETED', 'topic', 'a', CAST('{}' AS BLOB), '2026-01-01T00:00:02+00:00', 'failed', 1,
     'too large', NULL, NULL, NULL),
    (3, 'id-3', 'BUILD_STARTED', 'topic', 'b', CAST('{}' AS BLOB), '2026-01-01T00:00:03+00:00', 'waiting', 0, NULL,
     NULL, NULL, NULL);
PRAGMA user_version = 1;
"""


def write_database(path: Path, script: str) -> None:
    """Make a database in WAL mode by a script."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(script)
    db.close()


def test_an_outbox_of_release_1_0_0_is_used_as_it_is(tmp_path: Path) -> None:
    """Its events are listed, counted and delivered, and new ones follow."""
    path = tmp_path / "outbox.sqlite3"
    write_database(path, _VERSION_1)
    journal = OutboxJournal(path)

    assert {EventState.WAITING: 1, EventState.SENT: 1, EventState.FAILED: 1} == journal.counts()
    assert Event("id-3", "BUILD_STARTED", "topic", "b", b"{}") == getattr(journal.next_unsent("b"), "event", None)
    assert [None, None, Delivery(2, 17)] == [entry.delivery for entry in journal.entries(10)]
    assert 4 == journal.accept(an_event("b")).seq
    journal.close()


def test_an_outbox_of_a_newer_version_is_refused_and_not_changed(tmp_path: Path) -> None:
    """This program cannot know what its columns mean."""
    path = tmp_path / "outbox.sqlite3"
    write_database(path, "CREATE TABLE events (id INTEGER PRIMARY KEY, lane TEXT); PRAGMA user_version = 2;")
    before = path.read_bytes()

    with pytest.raises(OutboxTooNewError, match="its schema has version 2, and this program supports version 1"):
        open_outbox(path)

    assert before == path.read_bytes()
    assert ["outbox.sqlite3"] == [one.name for one in tmp_path.iterdir()]


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Lock the folder, as another process does while it makes the file."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def modes(*paths: Path) -> list[str]:
    """Return the permissions of files."""
    return [oct(stat.S_IMODE(path.stat().st_mode)) for path in paths]


@pytest.fixture(params=[0, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Set a umask that allows all permissions, or none."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_it_is_for_this_user_only(tmp_path: Path) -> None:
    """With SQLite's files beside it, and every folder that had to be made, whatever the umask."""
    path = tmp_path / "above" / "store" / "outbox.sqlite3"
    db = open_outbox(path)

    assert ["0o700", "0o700"] == modes(path.parent.parent, path.parent)
    assert dict.fromkeys((path.name, f"{path.name}-shm", f"{path.name}-wal"), "0o600") == {
        one.name: modes(one)[0] for one in path.parent.iterdir()
    }
    db.close()


def test_permissions_of_existing_files_are_not_changed(tmp_path: Path) -> None:
    """The user may have shared them."""
    path = tmp_path / "store" / "outbox.sqlite3"
    open_outbox(path).close()
    path.parent.chmod(0o750)
    path.chmod(0o640)

    open_outbox(path).close()

    assert ["0o750", "0o640"] == modes(path.parent, path)


def test_opening_it_again_releases_no_lock(tmp_path: Path) -> None:
    """Closing a descriptor of it would: another process would then remove the log while it is used."""
    path = tmp_path / "outbox.sqlite3"
    first = open_outbox(path)
    first.execute("SELECT count(*) FROM events").fetchone()
    open_outbox(path).close()

    subprocess.run([sys.executable, "-c", _LAST_USER, str(path)], check=True)

    assert (tmp_path / "outbox.sqlite3-wal").exists()
    first.close()


def test_while_another_process_makes_it_this_one_waits(tmp_path: Path) -> None:
    """Then it uses the other process's file."""
    path = tmp_path / "outbox.sqlite3"
    with ThreadPoolExecutor(1) as pool:
        with making(tmp_path):
            opening = pool.submit(lambda: open_outbox(path, busy_seconds=60).close())
            make_outbox(path)
            made = identity(path)
        opening.result()

    assert made == identity(path)


def test_it_waits_only_for_the_given_time(tmp_path: Path) -> None:
    """Then it raises `TimeoutError`."""
    with making(tmp_path), pytest.raises(TimeoutError, match="is locked"):
        open_outbox(tmp_path / "outbox.sqlite3", busy_seconds=0.01)


def test_a_file_that_could_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    """No incomplete file has its name, or stays beside it."""
    rows = iter([("no", "such", "columns")])
    with pytest.raises(sqlite3.ProgrammingError, match="Incorrect number of bindings"):
        make_outbox(tmp_path / "outbox.sqlite3", rows)

    assert [] == list(tmp_path.iterdir())


def test_a_file_left_by_an_earlier_attempt_is_replaced(tmp_path: Path) -> None:
    """Its process was killed."""
    (tmp_path / "outbox.sqlite3.new").write_bytes(b"half")

    open_outbox(tmp_path / "outbox.sqlite3").close()

    assert ["outbox.sqlite3"] == [one.name for one in tmp_path.iterdir()]


def test_an_empty_file_is_damaged(tmp_path: Path) -> None:
    """A new file has its name only when it is complete."""
    path = tmp_path / "outbox.sqlite3"
    path.touch()
    log = tmp_path / "outbox.sqlite3-wal"
    log.write_bytes(b"what the log still has")

    with pytest.raises(OutboxDamagedError, match="it is empty"):
        open_outbox(path)

    assert b"what the log still has" == log.read_bytes()


def test_another_programs_database_is_no_outbox(tmp_path: Path) -> None:
    """It is not written to."""
    path = tmp_path / "outbox.sqlite3"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (value TEXT)")
    db.close()

    with pytest.raises(OutboxDamagedError, match="it is not an outbox"):
        open_outbox(path)


def test_a_log_without_its_file_is_renamed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite would write it into the new file."""
    path = tmp_path / "outbox.sqlite3"
    log = tmp_path / "outbox.sqlite3-wal"
    log.write_bytes(b"of another file")

    open_outbox(path).close()

    (aside,) = tmp_path.glob("outbox.damaged-*.sqlite3-wal")
    assert b"of another file" == aside.read_bytes()
    assert "belonged to an outbox that is gone" in caplog.text

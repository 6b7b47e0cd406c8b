"""A damaged outbox is renamed unchanged, and its events are read as far as possible."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import OutboxDamagedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.envelope import Event
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.rescue import is_damage, keep_aside
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.schema import identity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.kafka.events import an_event

PAGE_BYTES = 4096
KEYS = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the outbox."""
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
def events(path: Path) -> list[Event]:
    """Make an outbox that no process has open; every event has a key of its own, and some fill a page."""
    outbox = OutboxJournal(path)
    events = [
        an_event(f"key-{number:02}", b'{"x": "%s"}' % (b"x" * (5000 if number % 20 == 7 else 200)))
        for number in range(KEYS)
    ]
    for event in events:
        outbox.accept(event)
    outbox.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    return events


def overwrite(path: Path, start: int, content: bytes) -> None:
    """Overwrite the middle of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)


def cut(path: Path, size: int) -> None:
    """Cut a file to this length; a negative one counts from the end."""
    with path.open("r+b") as file:
        file.truncate(size if size >= 0 else path.stat().st_size + size)


def spoil_a_row(path: Path) -> None:
    """Give an event an unknown state."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = 1")
        db.execute("UPDATE events SET state = 'gone' WHERE seq = 3")
        db.commit()


def spoil_a_text(path: Path) -> None:
    """Give an event a key that is not UTF-8."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE events SET key = CAST(x'ff' AS TEXT) WHERE seq = 3")
        db.commit()


def use(outbox: OutboxJournal) -> None:
    """Call every operation that reads events."""
    outbox.counts()
    outbox.entries(KEYS)
    for key in outbox.waiting_keys():
        outbox.next_unsent(key)


def first_failure(path: Path) -> Exception:
    """Use an outbox until an operation fails; return the error."""
    outbox = OutboxJournal(path)
    with pytest.raises((sqlite3.Error, OutboxDamagedError)) as caught:
        use(outbox)
    outbox.close()
    return caught.value


def readable(path: Path) -> list[Event]:
    """Return the events that an outbox has to deliver."""
    outbox = OutboxJournal(path)
    try:
        heads = [outbox.next_unsent(key) for key in outbox.waiting_keys()]
        return [stored.event for stored in heads if stored is not None]
    finally:
        outbox.close()


@pytest.mark.parametrize(
    ("spoil", "fewest"),
    [
        (lambda path: cut(path, 0), 0),
        (lambda path: cut(path, 50), 0),
        (lambda path: cut(path, PAGE_BYTES), 0),
        (lambda path: cut(path, 2 * PAGE_BYTES + 100), 0),
        (lambda path: cut(path, -PAGE_BYTES), 40),
        (lambda path: cut(path, -1), 50),
        (lambda path: cut(path, 100 - PAGE_BYTES), 40),
        (lambda path: overwrite(path, 0, b"no database"), 0),
        (lambda path: overwrite(path, 100, b"\xff" * (PAGE_BYTES - 100)), 0),
        (lambda path: overwrite(path, 4 * PAGE_BYTES, bytes(PAGE_BYTES)), 30),
        (lambda path: overwrite(path, 4 * PAGE_BYTES, b"\xff" * PAGE_BYTES), 30),
        (lambda path: path.write_text("something else"), 0),
        (spoil_a_row, KEYS - 1),
        (spoil_a_text, KEYS - 1),
    ],
)
def test_a_damaged_file_is_kept_and_its_readable_events_wait(
    path: Path, events: list[Event], spoil: Callable[[Path], None], fewest: int
) -> None:
    """Not a byte of the damaged file is lost, and no event is made up."""
    spoil(path)
    damaged = path.read_bytes()

    error = first_failure(path)
    rescue = keep_aside(path, identity(path), 60)

    assert is_damage(error)
    assert rescue.aside is not None
    assert damaged == rescue.aside.read_bytes()
    found = readable(path)
    assert (rescue.events, []) == (len(found), [event for event in found if event not in events])
    assert fewest <= len(found) < KEYS


def test_every_field_of_an_event_is_rescued(path: Path) -> None:
    """Its number, its state, and its place on the broker."""
    outbox = OutboxJournal(path)
    sent, failed, waiting = (outbox.accept(an_event(key)) for key in "abc")
    outbox.queue_acknowledged(sent, Delivery(2, 17))
    outbox.record_failure(failed, "too large", for_good=True)
    before = outbox.entries(10)

    assert 3 == outbox.keep_aside().events

    assert before == outbox.entries(10)
    assert [None, failed.seq, waiting] == [
        outbox.next_unsent("a"),
        getattr(outbox.next_unsent("b"), "seq", None),
        outbox.next_unsent("c"),
    ]
    outbox.close()


def test_the_log_is_kept_with_the_file_and_read(path: Path, tmp_path: Path) -> None:
    """It has the latest events, if the process was killed."""
    outbox = OutboxJournal(path)
    event = an_event()
    outbox.accept(event)
    for name in (path.name, f"{path.name}-wal"):
        shutil.copyfile(path.with_name(name), tmp_path / f"killed-{name}")
    outbox.close()
    killed = tmp_path / f"killed-{path.name}"
    log = killed.with_name(f"{killed.name}-wal").read_bytes()

    rescue = keep_aside(killed, identity(killed), 60)

    assert rescue.aside is not None
    assert log == rescue.aside.with_name(f"{rescue.aside.name}-wal").read_bytes()
    assert [event] == readable(killed)


def test_only_the_damaged_file_is_renamed(path: Path, events: list[Event]) -> None:
    """Another process may have put a new one in its place."""
    before = identity(path)
    other = path.with_suffix(".other")
    shutil.copyfile(path, other)
    other.rename(path)

    assert (None, 0) == (keep_aside(path, before, 60).aside, keep_aside(path, before, 60).events)
    assert events == readable(path)


def test_each_damaged_file_has_a_name_of_its_own(path: Path) -> None:
    """However many there are in one second."""
    for number in range(3):
        path.write_text(f"damaged {number}")
        keep_aside(path, identity(path), 60)

    found = {one.read_text() for one in path.parent.glob("outbox.damaged-*.sqlite3*")}
    assert {"damaged 0", "damaged 1", "damaged 2"} == found


def test_a_file_that_cannot_be_replaced_has_its_name_again(path: Path, events: list[Event]) -> None:
    """Here a folder is in the place of the new one."""
    path.with_name(f"{path.name}.new").mkdir()
    cut(path, -1)
    damaged = path.read_bytes()

    with pytest.raises(OSError, match="new"):
        keep_aside(path, identity(path), 60)

    assert damaged == path.read_bytes()
    assert [] == list(path.parent.glob("outbox.damaged-*"))


def test_errors_of_the_disk_or_a_lock_are_no_damage() -> None:
    """The file is not renamed."""
    assert [False] * 3 == [is_damage(error) for error in (OSError(), TimeoutError(), sqlite3.OperationalError())]
    assert is_damage(OutboxDamagedError())

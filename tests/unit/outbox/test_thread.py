"""The outbox for the event loop."""

import asyncio
import fcntl
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.kafka.events import an_event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the outbox."""
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
async def outbox(path: Path) -> AsyncIterator[OutboxThread]:
    """The outbox."""
    outbox = OutboxThread(path)
    yield outbox
    await outbox.close()


def threads() -> list[threading.Thread]:
    """Return the threads of outboxes."""
    return [thread for thread in threading.enumerate() if thread.name == "outbox"]


async def test_operations_run_in_one_thread(outbox: OutboxThread) -> None:
    """Never on the loop."""

    def where(_: OutboxJournal) -> threading.Thread:
        return threading.current_thread()

    found = {await outbox.run(where), await outbox.run(where)}

    assert found == set(threads())
    assert threading.current_thread() not in found


async def test_an_operation_returns_its_result(outbox: OutboxThread) -> None:
    """As the journal does."""
    stored = await outbox.run(OutboxJournal.accept, an_event("a"))

    assert stored == await outbox.run(OutboxJournal.next_unsent, "a")


async def test_closing_ends_the_thread_and_twice_is_safe(outbox: OutboxThread) -> None:
    """The next operation starts another one."""
    await outbox.run(OutboxJournal.accept, an_event())
    before = len(threads())
    await outbox.close()
    await outbox.close()
    after = len(threads())

    assert [1, 0] == [before, after]
    assert 1 == (await outbox.run(OutboxJournal.counts))[EventState.WAITING]


async def test_closing_an_unused_outbox_makes_no_file(path: Path, outbox: OutboxThread) -> None:
    """There is nothing to close."""
    await outbox.close()

    assert not path.exists()


async def test_closing_marks_acknowledged_events(path: Path, outbox: OutboxThread) -> None:
    """And lets another process deliver."""
    stored = await outbox.run(OutboxJournal.accept, an_event())
    await outbox.run(OutboxJournal.acquire_delivery_lock)
    outbox.journal.queue_acknowledged(stored, Delivery(0, 0))

    await outbox.close()

    other = OutboxThread(path)
    assert await other.run(OutboxJournal.acquire_delivery_lock)
    assert 1 == (await other.run(OutboxJournal.counts))[EventState.SENT]
    await other.close()


async def test_a_started_operation_runs_after_the_earlier_ones(path: Path, outbox: OutboxThread) -> None:
    """One that is still queued keeps the lock that it needs."""
    owning = asyncio.ensure_future(outbox.run(OutboxJournal.acquire_delivery_lock))
    await asyncio.sleep(0)
    outbox.start(OutboxJournal.release_delivery_lock)
    await owning

    other = OutboxThread(path)
    await outbox.run(OutboxJournal.counts)
    assert await other.run(OutboxJournal.acquire_delivery_lock)
    await other.close()


async def test_the_operation_of_a_cancelled_caller_is_completed(outbox: OutboxThread) -> None:
    """An accepted event is accepted."""
    go_on = threading.Event()
    blocking = asyncio.ensure_future(outbox.run(lambda _: go_on.wait()))
    accepting = asyncio.ensure_future(outbox.run(OutboxJournal.accept, an_event()))
    await asyncio.sleep(0)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    go_on.set()
    await blocking

    assert 1 == (await outbox.run(OutboxJournal.counts))[EventState.WAITING]


def test_a_loop_that_ends_meanwhile_does_no_harm(path: Path) -> None:
    """No caller waits for the result any longer."""
    go_on = threading.Event()

    async def forget(outbox: OutboxThread) -> None:
        task = asyncio.ensure_future(outbox.run(lambda _: go_on.wait()))
        await asyncio.sleep(0)
        task.cancel()

    outbox = OutboxThread(path)
    asyncio.run(forget(outbox))
    go_on.set()

    asyncio.run(outbox.close())

    assert [] == threads()


async def test_an_unexpected_exception_is_raised_where_the_caller_waits(outbox: OutboxThread) -> None:
    """It does not end the thread."""

    def wrong(_: OutboxJournal) -> None:
        raise LookupError("wrong")

    with pytest.raises(LookupError, match="wrong"):
        await outbox.run(wrong)

    assert 0 == (await outbox.run(OutboxJournal.counts))[EventState.WAITING]


async def failure(outbox: OutboxThread) -> PublishError:
    """Return the error of accepting an event."""
    with pytest.raises(PublishError) as caught:
        await outbox.run(OutboxJournal.accept, an_event(value=b"x" * 100_000))
    return caught.value


async def test_a_full_disk_is_reported(path: Path, outbox: OutboxThread) -> None:
    """With its folder."""

    def fill(file: OutboxJournal) -> None:
        file._db.execute("PRAGMA max_page_count = 1")

    await outbox.run(fill)
    error = await failure(outbox)

    assert f"cannot use the outbox {path}: its disk is full (database or disk is full)" == error.message
    assert f"Free some space on the disk of {path.parent}, then publish again." == error.recovery
    assert isinstance(error.__cause__, sqlite3.OperationalError)


async def test_it_works_again_when_there_is_space(outbox: OutboxThread) -> None:
    """The file is opened again."""

    def fill(file: OutboxJournal) -> None:
        file._db.execute("PRAGMA max_page_count = 1")

    await outbox.run(fill)
    await failure(outbox)

    await outbox.run(OutboxJournal.accept, an_event(value=b"x" * 100_000))

    assert 1 == (await outbox.run(OutboxJournal.counts))[EventState.WAITING]


def a_folder(path: Path) -> None:
    """Make a folder in its place."""
    path.mkdir()


def locked(path: Path) -> None:
    """Make its folder a file."""
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (a_folder, "it cannot be opened"),
        (locked, "an operation failed"),
    ],
)
async def test_a_file_that_cannot_be_opened_is_reported(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    """With what to do."""
    path = tmp_path / "folder" / "outbox.sqlite3"
    path.parent.mkdir()
    await asyncio.to_thread(spoil, path)
    outbox = OutboxThread(path)

    error = await failure(outbox)
    await outbox.close()

    assert message in error.message
    assert "publish again" in error.recovery


async def test_a_file_that_another_program_keeps_locked_is_reported(path: Path) -> None:
    """After the given time."""
    outbox = OutboxThread(path, busy_seconds=0.01)
    await outbox.run(OutboxJournal.counts)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        error = await failure(outbox)
    finally:
        db.close()
        await outbox.close()

    assert "another process keeps it locked" in error.message


async def test_a_damaged_file_is_renamed_and_the_next_operation_works(
    path: Path, outbox: OutboxThread, caplog: pytest.LogCaptureFixture
) -> None:
    """The error has its new name and how to read it, and so has the log."""
    await outbox.run(OutboxJournal.accept, an_event())
    await outbox.close()
    path.write_bytes(b"no database at all" * 1000)

    error = await failure(outbox)
    await outbox.run(OutboxJournal.accept, an_event())

    (aside,) = path.parent.glob("outbox.damaged-*")
    assert b"no database at all" * 1000 == aside.read_bytes()
    assert f"the file was damaged and is renamed to {aside.name}; a new one has the 0 events" in error.message
    assert f"`sqlite3 {aside} .recover`" in error.recovery
    assert "file is not a database" in caplog.text


async def test_a_row_that_is_damaged_while_it_is_open_is_damage_too(path: Path, outbox: OutboxThread) -> None:
    """The event that can be read is in the new file."""
    stored = await outbox.run(OutboxJournal.accept, an_event("a"))
    await outbox.run(OutboxJournal.accept, an_event("b"))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA ignore_check_constraints = 1")
        db.execute("UPDATE events SET state = '' WHERE key = 'b'")
        db.commit()

    with pytest.raises(PublishError, match="a new one has the 1 events that could be read"):
        await outbox.run(OutboxJournal.entries, 10)

    assert stored == await outbox.run(OutboxJournal.next_unsent, "a")


async def test_a_damaged_file_keeps_its_name_if_no_new_one_can_be_made(path: Path) -> None:
    """The error says what to do."""
    path.write_bytes(b"no database at all" * 1000)
    descriptor = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    outbox = OutboxThread(path, busy_seconds=0.01)
    try:
        error = await failure(outbox)
    finally:
        os.close(descriptor)
        await outbox.close()

    assert "the file is damaged, and cannot be renamed: another process keeps it locked" in error.message
    assert [path] == list(path.parent.iterdir())


async def test_an_outbox_of_a_newer_version_is_refused_with_what_to_do(path: Path, outbox: OutboxThread) -> None:
    """It is not renamed, as a damaged one would be."""
    await outbox.run(OutboxJournal.accept, an_event())
    await outbox.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 2")

    error = await failure(outbox)

    assert f"cannot use the outbox {path}: a newer version of this program made it" in error.message
    assert "its schema has version 2, and this program supports version 1" in error.message
    assert error.recovery.startswith("Update omninode-deployment-sender on this machine, or set PACKAGE_DIR")
    assert [] == list(path.parent.glob("outbox.damaged-*"))


async def test_releasing_the_lock_of_a_damaged_file_does_not_end_the_thread(path: Path, outbox: OutboxThread) -> None:
    """The next operation reports the damage, and the one after it works."""
    stored = await outbox.run(OutboxJournal.accept, an_event())
    outbox.journal.queue_acknowledged(stored, Delivery(0, 0))
    await asyncio.to_thread(path.rename, path.with_name("gone"))
    await asyncio.to_thread(path.touch)

    outbox.start(OutboxJournal.release_delivery_lock)

    with pytest.raises(PublishError, match="it is empty"):
        await outbox.run(OutboxJournal.counts)
    assert 0 == (await outbox.run(OutboxJournal.counts))[EventState.WAITING]

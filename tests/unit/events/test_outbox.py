"""The outbox for the event loop."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.events.outbox import EventOutbox
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.events.outbox_entries import EventState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.events.outbox_file import OutboxFile
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.events import an_event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
async def outbox(path: Path) -> AsyncIterator[EventOutbox]:
    """The outbox."""
    outbox = EventOutbox(path)
    yield outbox
    await outbox.close()


def threads() -> list[threading.Thread]:
    """Those of outboxes."""
    return [thread for thread in threading.enumerate() if thread.name == "outbox"]


def slow(_: OutboxFile) -> None:
    """An operation that takes a while."""
    time.sleep(0.05)


async def test_operations_run_in_one_thread_of_its_own(outbox: EventOutbox) -> None:
    """Never on the loop."""

    def where(_: OutboxFile) -> threading.Thread:
        return threading.current_thread()

    found = {await outbox.run(where), await outbox.run(where)}

    assert found == set(threads())
    assert threading.current_thread() not in found


async def test_an_operation_answers_what_it_found(outbox: EventOutbox) -> None:
    """As the file does."""
    stored = await outbox.run(OutboxFile.accept, an_event("a"))

    assert stored == await outbox.run(OutboxFile.head, "a")


async def test_closing_ends_the_thread_and_twice_is_safe(outbox: EventOutbox) -> None:
    """The next operation starts another one."""
    await outbox.run(OutboxFile.accept, an_event())
    before = len(threads())
    await outbox.close()
    await outbox.close()
    after = len(threads())

    assert [1, 0] == [before, after]
    assert 1 == (await outbox.run(OutboxFile.counts))[EventState.WAITING]


async def test_closing_what_was_never_used_touches_nothing(path: Path, outbox: EventOutbox) -> None:
    """There is nothing to close."""
    await outbox.close()

    assert not path.exists()


async def test_closing_marks_what_was_sent(path: Path, outbox: EventOutbox) -> None:
    """And lets another process deliver."""
    stored = await outbox.run(OutboxFile.accept, an_event())
    await outbox.run(OutboxFile.own)
    outbox.note_sent(stored, Delivery(0, 0))

    await outbox.close()

    other = EventOutbox(path)
    assert await other.run(OutboxFile.own)
    assert 1 == (await other.run(OutboxFile.counts))[EventState.SENT]
    await other.close()


async def test_resting_comes_after_what_was_begun_before(path: Path, outbox: EventOutbox) -> None:
    """An operation that is still queued keeps what it needs."""
    owning = asyncio.ensure_future(outbox.run(OutboxFile.own))
    await asyncio.sleep(0)
    outbox.rest()
    await owning

    other = EventOutbox(path)
    await outbox.run(OutboxFile.counts)
    assert await other.run(OutboxFile.own)
    await other.close()


async def test_what_a_cancelled_caller_began_is_done(outbox: EventOutbox) -> None:
    """An accepted event is accepted."""
    blocking = asyncio.ensure_future(outbox.run(slow))
    accepting = asyncio.ensure_future(outbox.run(OutboxFile.accept, an_event()))
    await asyncio.sleep(0)
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting
    await blocking

    assert 1 == (await outbox.run(OutboxFile.counts))[EventState.WAITING]


def test_a_loop_that_ends_meanwhile_does_no_harm(path: Path) -> None:
    """Nobody waits for the answer any more."""

    async def forget(outbox: EventOutbox) -> None:
        task = asyncio.ensure_future(outbox.run(slow))
        await asyncio.sleep(0)
        task.cancel()

    outbox = EventOutbox(path)
    asyncio.run(forget(outbox))

    asyncio.run(outbox.close())

    assert [] == threads()


async def test_an_unexpected_exception_is_raised_where_the_caller_waits(outbox: EventOutbox) -> None:
    """It does not end the thread."""

    def wrong(_: OutboxFile) -> None:
        raise LookupError("wrong")

    with pytest.raises(LookupError, match="wrong"):
        await outbox.run(wrong)

    assert 0 == (await outbox.run(OutboxFile.counts))[EventState.WAITING]


async def failure(outbox: EventOutbox) -> DeploymentSenderError:
    """How it fails to accept an event."""
    with pytest.raises(DeploymentSenderError) as caught:
        await outbox.run(OutboxFile.accept, an_event(value=b"x" * 100_000))
    return caught.value


async def test_a_full_disk_is_told_as_one(path: Path, outbox: EventOutbox) -> None:
    """With its folder."""

    def fill(file: OutboxFile) -> None:
        file._db.execute("PRAGMA max_page_count = 1")

    await outbox.run(fill)
    error = await failure(outbox)

    assert ErrorCode.KAFKA_PUBLISH_FAILED == error.code
    assert f"the outbox {path} did not do its part: its disk is full (database or disk is full)" == error.message
    assert f"Make room on the disk of {path.parent}, then publish again." == error.recovery
    assert isinstance(error.__cause__, sqlite3.OperationalError)


async def test_it_works_again_when_there_is_room(outbox: EventOutbox) -> None:
    """The file is opened anew."""

    def fill(file: OutboxFile) -> None:
        file._db.execute("PRAGMA max_page_count = 1")

    await outbox.run(fill)
    await failure(outbox)

    await outbox.run(OutboxFile.accept, an_event(value=b"x" * 100_000))

    assert 1 == (await outbox.run(OutboxFile.counts))[EventState.WAITING]


def no_database(path: Path) -> None:
    """Put something else in its place."""
    path.write_bytes(b"no database at all" * 1000)


def damaged(path: Path) -> None:
    """Overwrite all but the header of a file that had an event."""
    file = OutboxFile(path)
    file.accept(an_event())
    file.close()
    size = path.stat().st_size
    with path.open("r+b") as raw:
        raw.seek(100)
        raw.write(b"\xff" * (size - 100))


def a_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.mkdir()


def locked(path: Path) -> None:
    """Have its folder be a file."""
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_database, "the file is no outbox"),
        (damaged, "the file is damaged"),
        (a_folder, "it cannot be opened"),
        (locked, "it cannot be used"),
    ],
)
async def test_what_is_wrong_with_the_file_is_told(tmp_path: Path, spoil: Callable[[Path], None], told: str) -> None:
    """And what to do."""
    path = tmp_path / "folder" / "outbox.sqlite3"
    path.parent.mkdir()
    await asyncio.to_thread(spoil, path)
    outbox = EventOutbox(path)

    error = await failure(outbox)
    await outbox.close()

    assert told in error.message
    assert "publish again" in error.recovery


async def test_a_file_that_another_program_keeps_locked_is_told_as_one(path: Path, outbox: EventOutbox) -> None:
    """After a few seconds of waiting."""
    await outbox.run(OutboxFile.counts)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        error = await failure(outbox)
    finally:
        db.close()

    assert "another process keeps it locked" in error.message

"""The outbox on disk."""

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState, OutboxDamagedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import KEPT_EVENTS, OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.schema import OutboxTooNewError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.kafka.events import an_event

FULL = 2  # sqlite.org/pragma.html#pragma_synchronous


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the outbox; its folder does not exist yet."""
    return tmp_path / "store" / "outbox.sqlite3"


@pytest.fixture
def outbox(path: Path) -> Iterator[OutboxJournal]:
    """The outbox of this process."""
    outbox = OutboxJournal(path)
    yield outbox
    outbox.close()


@pytest.fixture
def other(path: Path) -> Iterator[OutboxJournal]:
    """The same outbox, as another process has it."""
    other = OutboxJournal(path)
    yield other
    other.close()


def states(outbox: OutboxJournal) -> list[str]:
    """Return the state of every event, oldest first."""
    return [entry.state.value for entry in reversed(outbox.entries(1000))]


def test_the_file_is_made_when_it_is_first_used(path: Path, outbox: OutboxJournal) -> None:
    """Not before."""
    assert not path.parent.exists()


def test_its_files_are_for_this_user_only(path: Path, outbox: OutboxJournal) -> None:
    """Also the lock, which is made first."""
    outbox.acquire_delivery_lock()
    outbox.accept(an_event())

    assert {"0o700"} == {oct(stat.S_IMODE(path.parent.stat().st_mode))}
    assert {"outbox.lock": "0o600", "outbox.sqlite3": "0o600"}.items() <= {
        one.name: oct(stat.S_IMODE(one.stat().st_mode)) for one in path.parent.iterdir()
    }.items()


def test_other_processes_read_an_accepted_event(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """It is complete, and waits."""
    event = an_event(value=b"\x00{}")

    stored = outbox.accept(event)

    assert stored == other.next_unsent(event.key)
    assert (event, EventState.WAITING) == (stored.event, stored.state)


def test_the_first_event_of_a_key_is_the_oldest_unsent(outbox: OutboxJournal) -> None:
    """Whatever the other keys have."""
    one, _, two = outbox.accept(an_event("a")), outbox.accept(an_event("b")), outbox.accept(an_event("a"))
    heads = [outbox.next_unsent("a")]

    for stored in (one, two):
        outbox.queue_acknowledged(stored, Delivery(0, 0))
        heads.append(outbox.next_unsent("a"))

    assert [one, two, None] == heads


def test_a_sent_event_is_listed_with_its_place(outbox: OutboxJournal) -> None:
    """It has the broker's numbers."""
    event = an_event()
    outbox.queue_acknowledged(outbox.accept(event), Delivery(2, 17))

    (entry,) = outbox.entries(10)

    assert (event.event_id, EventState.SENT, 1, None) == (
        entry.event_id,
        entry.state,
        entry.attempts,
        entry.last_error,
    )
    assert Delivery(2, 17) == entry.delivery
    assert entry.sent_at is not None
    assert entry.accepted_at <= entry.sent_at


def test_a_waiting_event_has_no_place_at_the_broker(outbox: OutboxJournal) -> None:
    """None is invented."""
    outbox.accept(an_event())

    (entry,) = outbox.entries(10)

    assert (None, None, None, None) == (entry.delivery, entry.partition, entry.offset, entry.sent_at)


def test_the_value_of_a_sent_event_is_deleted(path: Path, outbox: OutboxJournal) -> None:
    """The broker has it."""
    outbox.queue_acknowledged(outbox.accept(an_event(value=b"large")), Delivery(0, 0))
    outbox.commit_acknowledged()

    db = sqlite3.connect(path)
    try:
        assert [(None,)] == db.execute("SELECT value FROM events").fetchall()
    finally:
        db.close()


def test_an_acknowledged_event_is_marked_with_the_next_event(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """In one commit."""
    outbox.queue_acknowledged(outbox.accept(an_event()), Delivery(0, 0))

    outbox.accept(an_event())

    assert ["sent", "waiting"] == states(other)


def test_a_mark_that_could_not_be_written_is_written_later(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """The disk may have space again."""
    outbox.queue_acknowledged(outbox.accept(an_event()), Delivery(0, 0))
    outbox._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        outbox.accept(an_event(value=b"x" * 100_000))
    assert ["waiting"] == states(other)

    outbox._db.execute("PRAGMA max_page_count = 100000")
    outbox.commit_acknowledged()

    assert ["sent"] == states(other)


@pytest.mark.parametrize("for_good", [True, False])
def test_a_failed_attempt_is_recorded(outbox: OutboxJournal, for_good: bool) -> None:
    """With its reason."""
    outbox.record_failure(outbox.accept(an_event()), "no broker", for_good=for_good)

    (entry,) = outbox.entries(10)

    assert (EventState.FAILED if for_good else EventState.WAITING, 1, "no broker") == (
        entry.state,
        entry.attempts,
        entry.last_error,
    )


def test_a_late_failure_does_not_undo_a_delivery(outbox: OutboxJournal) -> None:
    """Another attempt may have succeeded."""
    stored = outbox.accept(an_event())
    outbox.queue_acknowledged(stored, Delivery(0, 0))

    outbox.record_failure(stored, "no response", for_good=True)

    assert ["sent"] == states(outbox)


def test_the_next_event_waits_for_the_disk(outbox: OutboxJournal) -> None:
    """Also after changes that do not."""
    stored = outbox.accept(an_event())
    outbox.record_failure(stored, "no broker", for_good=False)
    outbox.queue_acknowledged(stored, Delivery(0, 0))
    outbox.commit_acknowledged()

    assert (FULL,) == outbox._db.execute("PRAGMA synchronous").fetchone()


def test_waiting_keys_come_oldest_first(outbox: OutboxJournal) -> None:
    """Each once."""
    for key in ("b", "a", "b", "c"):
        outbox.accept(an_event(key))

    assert ["b", "a", "c"] == outbox.waiting_keys()


def test_a_key_whose_first_event_failed_does_not_wait(outbox: OutboxJournal) -> None:
    """Nothing overtakes it."""
    outbox.record_failure(outbox.accept(an_event("a")), "too large", for_good=True)
    outbox.accept(an_event("a"))
    outbox.accept(an_event("b"))

    assert ["b"] == outbox.waiting_keys()


def test_a_failed_event_can_be_tried_again(outbox: OutboxJournal) -> None:
    """It waits in its old place."""
    outbox.record_failure(outbox.accept(an_event("a")), "too large", for_good=True)
    outbox.accept(an_event("b"))

    outbox.retry_failed()

    assert ["a", "b"] == outbox.waiting_keys()


def test_a_failed_event_can_be_dropped(outbox: OutboxJournal) -> None:
    """The later events of its key go on."""
    event = an_event("a")
    outbox.record_failure(outbox.accept(event), "too large", for_good=True)
    behind = outbox.accept(an_event("a"))

    assert outbox.drop(event.event_id)
    assert behind == outbox.next_unsent("a")


def test_a_waiting_event_cannot_be_dropped(outbox: OutboxJournal) -> None:
    """It was accepted."""
    event = an_event()
    outbox.accept(event)

    assert not outbox.drop(event.event_id)
    assert ["waiting"] == states(outbox)


def test_the_newest_events_are_listed_first(outbox: OutboxJournal) -> None:
    """As many as were requested."""
    events = [an_event() for _ in range(3)]
    for event in events:
        outbox.accept(event)

    assert [events[2].event_id, events[1].event_id] == [entry.event_id for entry in outbox.entries(2)]


def test_events_are_counted_by_state(outbox: OutboxJournal) -> None:
    """All three states are there, also with 0."""
    outbox.accept(an_event())
    outbox.queue_acknowledged(outbox.accept(an_event()), Delivery(0, 0))

    assert {EventState.WAITING: 1, EventState.SENT: 1, EventState.FAILED: 0} == outbox.counts()


def test_old_sent_events_are_deleted(outbox: OutboxJournal) -> None:
    """Waiting events stay, however old."""
    outbox.accept(an_event("waits"))
    outbox._db.execute("BEGIN")
    outbox._db.executemany(
        "INSERT INTO events (event_id, event_type, topic, key, accepted_at, state) VALUES (?, '', '', '', '', 'sent')",
        ((str(number),) for number in range(10_238)),
    )
    outbox._db.execute("COMMIT")
    stored = outbox.accept(an_event("sent"))

    outbox.queue_acknowledged(stored, Delivery(0, 0))

    assert {EventState.WAITING: 1, EventState.SENT: KEPT_EVENTS, EventState.FAILED: 0} == outbox.counts()
    assert 10_240 == stored.seq


def test_only_one_process_delivers(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """Until it releases the lock."""
    found = [outbox.acquire_delivery_lock(), outbox.acquire_delivery_lock(), other.acquire_delivery_lock()]
    outbox.release_delivery_lock()

    assert [True, True, False, True] == [*found, other.acquire_delivery_lock()]


def test_closing_lets_another_process_deliver(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """It releases the lock."""
    outbox.acquire_delivery_lock()
    outbox.close()

    assert other.acquire_delivery_lock()


def test_accepting_reports_whether_this_process_has_the_lock(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """The event is accepted in both cases."""
    owned = [outbox.accept_to_deliver(an_event()).has_lock, other.accept_to_deliver(an_event()).has_lock]

    assert [True, False] == owned
    assert 2 == outbox.counts()[EventState.WAITING]


def test_accepting_reports_whether_another_event_waits(outbox: OutboxJournal) -> None:
    """One that was acknowledged just before does not."""
    first = outbox.accept_to_deliver(an_event("a"))
    outbox.queue_acknowledged(first.stored, Delivery(0, 0))
    second = outbox.accept_to_deliver(an_event("b"))
    third = outbox.accept_to_deliver(an_event("c"))

    assert [True, True, False] == [first.alone, second.alone, third.alone]


def test_the_status_of_an_event_is_the_present_one(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """It also says whether this process has the lock now."""
    outbox.acquire_delivery_lock()
    stored = outbox.accept(an_event())
    before = other.event_status(stored)
    outbox.queue_acknowledged(stored, Delivery(1, 2))
    outbox.release_delivery_lock()
    after = other.event_status(stored)

    assert before.entry is not None
    assert after.entry is not None
    assert [(False, None), (True, Delivery(1, 2))] == [
        (before.has_lock, before.entry.delivery),
        (after.has_lock, after.entry.delivery),
    ]


def test_the_status_of_a_missing_event_has_no_entry(outbox: OutboxJournal) -> None:
    """It may have been dropped, or its number may be another event's after a rescue."""
    stored = outbox.accept(an_event())

    assert outbox.event_status(replace(stored, event=an_event())).entry is None


def test_a_change_is_made_to_no_other_event_of_that_number(outbox: OutboxJournal) -> None:
    """One in a damaged file may have had the same number."""
    stored = outbox.accept(an_event())
    another = replace(stored, event=an_event())

    outbox.queue_acknowledged(another, Delivery(0, 0))
    outbox.record_failure(another, "no broker", for_good=True)

    assert stored == outbox.next_unsent("package")


def test_events_are_still_there_after_closing(outbox: OutboxJournal) -> None:
    """The next operation opens the file again."""
    stored = outbox.accept(an_event())
    outbox.close()
    outbox.close()

    assert stored == outbox.next_unsent("package")


def test_releasing_the_lock_is_safe_if_the_file_cannot_be_written(outbox: OutboxJournal) -> None:
    """The mark is made later."""
    outbox.queue_acknowledged(outbox.accept(an_event(value=b"x" * 100_000)), Delivery(0, 0))
    outbox._db.execute("PRAGMA query_only = 1")

    outbox.release_delivery_lock()
    outbox._db.execute("PRAGMA query_only = 0")

    assert ["sent"] == states(outbox)


def test_a_file_of_a_newer_version_is_refused(path: Path, outbox: OutboxJournal, other: OutboxJournal) -> None:
    """This program cannot know what its columns mean."""
    outbox.accept(an_event())
    outbox._db.execute("PRAGMA user_version = 2")

    with pytest.raises(OutboxTooNewError, match="its schema has version 2, and this program supports version 1"):
        other.accept(an_event())


def test_many_processes_may_make_it_at_once(path: Path) -> None:
    """None is refused and no event is lost."""

    def make(number: int) -> None:
        outbox = OutboxJournal(path)
        outbox.accept(an_event(str(number)))
        outbox.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(16)))

    outbox = OutboxJournal(path)
    assert 16 == outbox.counts()[EventState.WAITING]
    outbox.close()


def test_every_query_of_a_delivery_uses_the_index(outbox: OutboxJournal) -> None:
    """Ten thousand sent events must not delay a new one."""
    outbox.accept(an_event())
    queries: list[str] = []
    outbox._db.set_trace_callback(queries.append)
    outbox.accept_to_deliver(an_event())
    outbox.next_unsent("package")
    outbox.waiting_keys()
    outbox._db.set_trace_callback(None)

    selects = [query for query in queries if query.startswith("SELECT")]
    plans = [str(outbox._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()) for query in selects]

    assert [True] * 3 == ["events_unsent" in plan for plan in plans]


def test_a_file_that_another_process_renamed_is_closed(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """The next operation uses the new file, with the events that could be read."""
    first = outbox.accept(an_event("a"))
    assert first == other.next_unsent("a")

    rescue = other.keep_aside()
    second = outbox.accept(an_event("b"))

    assert 1 == rescue.events
    assert [first, second] == [other.next_unsent("a"), other.next_unsent("b")]


def test_an_event_written_into_a_renamed_file_is_not_accepted(outbox: OutboxJournal, other: OutboxJournal) -> None:
    """The commit succeeds, but the event would never be delivered."""
    outbox.accept(an_event())
    other.counts()

    def write() -> None:
        with outbox._transaction():
            outbox._insert(an_event())
            assert other.keep_aside().aside is not None

    with pytest.raises(OutboxDamagedError, match="another process found it damaged"):
        write()
    assert 1 == outbox.counts()[EventState.WAITING]

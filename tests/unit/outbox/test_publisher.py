"""The outbox and the broker, as callers use them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.publisher import OutboxPublisher, Outcome
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.eventually import eventually
from support.kafka.events import an_event
from support.kafka.publisher import FakeBroker, Fault
from support.process.clock import put_forward

T = TypeVar("T")


@pytest.fixture
def broker() -> FakeBroker:
    """The broker."""
    return FakeBroker()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the outbox."""
    return tmp_path / "outbox.sqlite3"


@pytest.fixture
async def publisher(path: Path, broker: FakeBroker) -> AsyncIterator[OutboxPublisher]:
    """The publisher of this process."""
    publisher = OutboxPublisher(OutboxThread(path), broker.open)
    yield publisher
    await publisher.close()


@pytest.fixture
async def other(path: Path, broker: FakeBroker) -> AsyncIterator[OutboxPublisher]:
    """The publisher of another process: locks are per open file, so it is as good as one."""
    other = OutboxPublisher(OutboxThread(path), broker.open)
    yield other
    await other.close()


@pytest.fixture
async def alone(path: Path) -> AsyncIterator[OutboxPublisher]:
    """A publisher without a broker."""
    alone = OutboxPublisher(OutboxThread(path), None)
    yield alone
    await alone.close()


async def submit(
    publisher: OutboxPublisher, key: str = "a", value: bytes = b"{}", timeout_seconds: float = 60
) -> Outcome:
    """Submit an event."""
    return await publisher.submit(an_event(key, value), timeout_seconds)


async def counts(publisher: OutboxPublisher) -> tuple[int, int, int]:
    """Return how many events wait, are sent, and failed."""
    found = await publisher._outbox.run(OutboxJournal.counts)
    return found[EventState.WAITING], found[EventState.SENT], found[EventState.FAILED]


async def accepted(publisher: OutboxPublisher, count: int = 1) -> None:
    """Wait until so many events wait."""
    while (await counts(publisher))[0] < count:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)


async def later(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Begin something, put the clock forward, and return its result."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    put_forward(seconds)
    return await task


async def test_the_outcome_of_an_acknowledged_event_has_its_place(publisher: OutboxPublisher) -> None:
    """The numbers are the broker's."""
    outcomes = [await submit(publisher), await submit(publisher)]

    assert [
        Outcome(Delivery(0, 0), queued=False, error=None, newly_sent=1),
        Outcome(Delivery(0, 1), queued=False, error=None, newly_sent=1),
    ] == outcomes
    assert (0, 2, 0) == await counts(publisher)


async def test_without_a_broker_an_event_waits(alone: OutboxPublisher) -> None:
    """That is not an error."""
    assert Outcome(None, queued=True, error=None, newly_sent=0) == await submit(alone)
    assert (1, 0, 0) == await counts(alone)


async def test_the_file_is_made_when_it_is_first_used(
    path: Path, publisher: OutboxPublisher, broker: FakeBroker
) -> None:
    """Neither making nor closing a publisher makes it."""
    await publisher.close()

    assert not path.exists()
    assert 0 == broker.opened


async def test_without_a_response_an_event_waits(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """That is an error."""
    broker.down = True

    outcome = await submit(publisher)

    assert (None, True, 0) == (outcome.delivery, outcome.queued, outcome.newly_sent)
    assert outcome.error is not None
    assert (1, 0, 0) == await counts(publisher)


@pytest.mark.parametrize("stuck", [True, False], ids=["connecting", "publishing"])
async def test_a_broker_that_hangs_is_waited_for_until_the_deadline(
    publisher: OutboxPublisher, broker: FakeBroker, stuck: bool
) -> None:
    """Not longer."""
    broker.stuck = stuck
    broker.script("a", Fault.HANGS)
    submitting = asyncio.ensure_future(submit(publisher, timeout_seconds=60))
    await (broker.connecting() if stuck else broker.busy())

    put_forward(60)
    outcome = await submitting

    assert outcome.error is not None
    assert (True, "the broker did not acknowledge the event within 60 s") == (outcome.queued, outcome.error.message)


async def test_an_event_that_is_refused_for_good_does_not_wait(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """A person has to fix something."""
    broker.script("a", Fault.NEVER)

    outcome = await submit(publisher)

    assert outcome.error is not None
    assert (False, False) == (outcome.queued, outcome.error.retry)
    assert (0, 0, 1) == await counts(publisher)


async def test_later_events_of_its_key_wait(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """Other keys go on."""
    broker.script("a", Fault.NEVER)
    await submit(publisher, "a")

    behind, beside = await submit(publisher, "a"), await submit(publisher, "b")

    assert (True, False) == (behind.queued, beside.queued)
    assert Delivery(0, 0) == beside.delivery
    assert (1, 1, 1) == await counts(publisher)


async def test_the_next_event_that_succeeds_sends_the_waiting_ones(
    publisher: OutboxPublisher, broker: FakeBroker
) -> None:
    """Earlier ones of its key before it, those of other keys after it."""
    broker.down = True
    for key, value in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        await submit(publisher, key, value)
    broker.down = False

    outcome = await submit(publisher, "a", b"4")
    await publisher.close()

    assert Delivery(0, 2) == outcome.delivery
    assert [b"1", b"3", b"4", b"2"] == broker.values
    assert (0, 4, 0) == await counts(publisher)


async def test_events_sent_with_another_are_counted_once(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """By the next outcome."""
    broker.down = True
    for key in "abc":
        await submit(publisher, key)
    broker.down = False

    first = await submit(publisher, "a")
    await eventually(lambda: 4 == len(broker.records))
    second = await submit(publisher, "a")

    assert (2, 3) == (first.newly_sent, second.newly_sent)


async def test_a_key_that_hangs_does_not_slow_the_others(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """It is waited for only in the background."""
    broker.script("a", Fault.REFUSED, Fault.HANGS)
    await submit(publisher, "a")
    first = await submit(publisher, "b")
    await broker.busy()

    outcomes = [first, *[await submit(publisher, "b") for _ in range(4)]]

    assert 1 == broker.under_way
    assert [None] * 5 == [outcome.error for outcome in outcomes]
    put_forward(60)
    await publisher.close()
    assert (1, 5, 0) == await counts(publisher)


async def test_events_submitted_at_once_stay_in_order_per_key(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """Keys go side by side."""
    broker.pause = 0.001
    outcomes = await asyncio.gather(*(submit(publisher, "abcde"[n % 5], b"%d" % n) for n in range(50)))

    assert [None] * 50 == [outcome.error for outcome in outcomes]
    assert 5 == broker.busiest
    for key in "abcde":
        values = [int(record.value) for record in broker.records if record.key == key]
        assert sorted(values) == values


async def test_an_outbox_that_cannot_be_used_accepts_nothing(path: Path, publisher: OutboxPublisher) -> None:
    """The event is nowhere, and the error says so."""
    await asyncio.to_thread(path.mkdir)

    with pytest.raises(PublishError, match="cannot use the outbox"):
        await submit(publisher)

    await publisher.close()


async def test_an_outbox_that_hangs_is_waited_for_until_the_deadline(publisher: OutboxPublisher) -> None:
    """Whether it has the event is not known, and the error says so."""
    release = threading.Event()

    def hang(_: OutboxJournal) -> None:
        release.wait()

    hanging = asyncio.ensure_future(publisher._outbox.run(hang))
    await asyncio.sleep(0)
    try:
        with pytest.raises(PublishError, match="the event may be in it or not"):
            await later(submit(publisher, timeout_seconds=60), 60)
    finally:
        release.set()
        await hanging


async def test_a_cancelled_caller_leaves_its_event_waiting(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """Its request is cancelled."""
    broker.script("a", Fault.HANGS)
    submitting = asyncio.ensure_future(submit(publisher))
    await broker.busy()
    submitting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting

    assert (1, 0, 0) == await counts(publisher)
    assert Delivery(0, 1) == (await submit(publisher)).delivery


async def test_a_cancelled_caller_does_not_disturb_others(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """Also those that wait for the same key."""
    broker.gate.clear()
    first, second = asyncio.ensure_future(submit(publisher)), asyncio.ensure_future(submit(publisher))
    await broker.busy()
    await accepted(publisher, 2)
    first.cancel()
    broker.gate.set()

    assert Delivery(0, 1) == (await second).delivery


async def test_closing_waits_for_the_delivery_in_the_background(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """It leaves no task, no thread and no connection."""
    broker.down = True
    for number in range(30):
        await submit(publisher, str(number))
    broker.down, broker.pause = False, 0.005
    await submit(publisher, "last")

    await publisher.close()
    await publisher.close()

    assert 31 == len(broker.records)
    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert [] == [thread for thread in threading.enumerate() if thread.name == "outbox"]
    assert all(publisher.closed for publisher in broker.publishers)


async def test_closing_waits_for_callers(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """They get their outcome, and nothing is opened again."""
    broker.gate.clear()
    submitting = [asyncio.ensure_future(submit(publisher, key)) for key in "aab"]
    await broker.busy(2)
    closing = asyncio.ensure_future(publisher.close())
    await asyncio.sleep(0)
    broker.gate.set()

    await closing

    assert [None] * 3 == [(await one).error for one in submitting]
    assert 1 == broker.opened
    assert [] == [thread for thread in threading.enumerate() if thread.name == "outbox"]


async def test_closing_waits_no_longer_than_the_deadline(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """Of the event that began the delivery in the background."""
    broker.script("a", Fault.REFUSED, Fault.HANGS)
    await submit(publisher, "a")
    await submit(publisher, "b", timeout_seconds=60)
    await broker.busy()

    await later(publisher.close(), 60)

    assert (1, 1, 0) == await counts(publisher)


async def test_a_cancelled_close_closes(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """At once."""
    broker.script("a", Fault.REFUSED, Fault.HANGS)
    await submit(publisher, "a")
    await submit(publisher, "b")
    await broker.busy()
    closing = asyncio.ensure_future(publisher.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert all(publisher.closed for publisher in broker.publishers)


async def test_after_closing_it_opens_again(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """The node stays usable."""
    await submit(publisher)
    await publisher.close()

    assert Delivery(0, 1) == (await submit(publisher)).delivery
    assert 2 == broker.opened


async def test_a_flush_delivers_all_waiting_events(
    publisher: OutboxPublisher, alone: OutboxPublisher, broker: FakeBroker
) -> None:
    """Its report has their number."""
    for key in "abc":
        await submit(alone, key)

    report = await publisher.flush(60)

    assert (3, 0, 0, None) == (report.sent, report.waiting, report.failed, report.error)
    assert 3 == len(broker.records)


async def test_a_flush_of_an_empty_outbox_succeeds(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """It needs no broker for that."""
    report = await publisher.flush(60)

    assert (0, 0, 0, None) == (report.sent, report.waiting, report.failed, report.error)
    assert 0 == broker.opened


async def test_a_flush_tries_failed_events_again(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """The broker's limit may have been raised."""
    broker.script("a", Fault.NEVER)
    await submit(publisher, "a", b"1")
    await submit(publisher, "a", b"2")

    report = await publisher.flush(60)

    assert (2, 0, 0, None) == (report.sent, report.waiting, report.failed, report.error)
    assert [b"1", b"2"] == broker.values


async def test_the_report_of_a_flush_has_what_is_left_and_why(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """Failed events, and those that they block."""
    broker.script("a", Fault.NEVER, Fault.NEVER)
    await submit(publisher, "a")
    await submit(publisher, "a")

    report = await publisher.flush(60)

    assert (0, 1, 1) == (report.sent, report.waiting, report.failed)
    assert report.error is not None
    assert "too large" == report.error.message


async def test_a_flush_without_a_broker_fails(alone: OutboxPublisher) -> None:
    """If an event waits."""
    nothing = await alone.flush(60)
    await submit(alone)
    something = await alone.flush(60)

    assert nothing.error is None
    assert something.error is not None
    assert "no broker is set" == something.error.message
    assert 1 == something.waiting


async def test_a_flush_ends_at_its_deadline(
    publisher: OutboxPublisher, alone: OutboxPublisher, broker: FakeBroker
) -> None:
    """The events that it delivered until then are counted."""
    broker.script("a", Fault.HANGS)
    await submit(alone, "a")
    await submit(alone, "b")

    flushing = asyncio.ensure_future(publisher.flush(60))
    await eventually(lambda: (1, 1) == (broker.under_way, len(broker.records)))
    put_forward(60)
    report = await flushing

    assert (1, 1, 0) == (report.sent, report.waiting, report.failed)
    assert report.error is not None
    assert "the broker did not acknowledge all events within 60 s" == report.error.message


async def test_a_dropped_event_blocks_nothing(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """The later event of its key is sent."""
    broker.script("a", Fault.NEVER)
    hopeless = an_event("a")
    await publisher.submit(hopeless, 60)

    assert await publisher._outbox.run(OutboxJournal.drop, hopeless.event_id)
    assert Delivery(0, 0) == (await submit(publisher, "a")).delivery


async def test_events_are_listed_newest_first(publisher: OutboxPublisher, broker: FakeBroker) -> None:
    """With their state."""
    events = [an_event("a"), an_event("b")]
    for event in events:
        await publisher.submit(event, 60)

    listed = await publisher._outbox.run(OutboxJournal.entries, 1)

    assert [(events[1].event_id, EventState.SENT)] == [(entry.event_id, entry.state) for entry in listed]


async def test_while_another_process_delivers_this_one_waits(
    publisher: OutboxPublisher, other: OutboxPublisher, broker: FakeBroker
) -> None:
    """Until that one releases the lock."""
    broker.gate.clear()
    first = asyncio.ensure_future(submit(publisher, "a"))
    await broker.busy()
    second = asyncio.ensure_future(submit(other, "b"))
    await accepted(other, 2)
    before = broker.under_way
    broker.gate.set()

    assert [Delivery(0, 0), Delivery(0, 1)] == [(await first).delivery, (await second).delivery]
    assert [1, 1] == [before, broker.busiest]


async def test_another_process_may_deliver_this_ones_event(
    publisher: OutboxPublisher, other: OutboxPublisher, broker: FakeBroker
) -> None:
    """It is sent once, and the outbox has its place."""
    broker.script("a", Fault.REFUSED)
    await submit(publisher, "a")
    broker.gate.clear()
    taking_along = asyncio.ensure_future(submit(publisher, "b"))
    await broker.busy()
    submitting = asyncio.ensure_future(submit(other, "c"))
    await accepted(other, 3)
    broker.gate.set()

    outcome = await submitting
    await taking_along
    await publisher.close()

    assert outcome.error is None
    assert {"a": 1, "b": 1, "c": 1} == {key: [r.key for r in broker.records].count(key) for key in "abc"}
    assert outcome.delivery is not None
    assert "c" == broker.records[outcome.delivery.offset].key


async def test_another_process_may_find_that_this_ones_event_failed(
    publisher: OutboxPublisher, other: OutboxPublisher, broker: FakeBroker
) -> None:
    """Then there is nothing left to wait for."""
    assert await publisher._outbox.run(OutboxJournal.acquire_delivery_lock)
    submitting = asyncio.ensure_future(submit(other, "a"))
    await accepted(publisher)
    head = await publisher._outbox.run(OutboxJournal.next_unsent, "a")
    assert head is not None
    await publisher._outbox.run(OutboxJournal.record_failure, head, "too large", for_good=True)

    outcome = await submitting

    assert outcome.error is not None
    assert (False, "the broker refused the event for good: too large") == (outcome.queued, outcome.error.message)


async def test_another_process_may_drop_this_ones_event(
    publisher: OutboxPublisher, other: OutboxPublisher, broker: FakeBroker
) -> None:
    """Then there is nothing left to wait for."""
    assert await publisher._outbox.run(OutboxJournal.acquire_delivery_lock)
    event = an_event()
    submitting = asyncio.ensure_future(other.submit(event, 60))
    await accepted(publisher)

    def set_aside_and_drop(file: OutboxJournal) -> None:
        head = file.next_unsent(event.key)
        assert head is not None
        file.record_failure(head, "too large", for_good=True)
        file.drop(event.event_id)

    await publisher._outbox.run(set_aside_and_drop)
    outcome = await submitting

    assert outcome.error is not None
    # The two steps are two transactions: a waiting process may read in between.
    assert outcome.error.message in {"the event was dropped", "the broker refused the event for good: too large"}


async def test_a_flush_waits_for_the_process_that_delivers(
    publisher: OutboxPublisher, other: OutboxPublisher, broker: FakeBroker
) -> None:
    """Then it reads the outbox itself."""
    broker.gate.clear()
    submitting = asyncio.ensure_future(submit(publisher, "a"))
    await broker.busy()
    flushing = asyncio.ensure_future(other.flush(60))
    await asyncio.sleep(0)
    broker.gate.set()

    report = await flushing

    assert (0, 0, None) == (report.sent, report.waiting, report.error)
    assert Delivery(0, 0) == (await submitting).delivery


async def test_when_it_is_idle_another_process_may_deliver_soon(
    publisher: OutboxPublisher, other: OutboxPublisher
) -> None:
    """Acknowledged events are marked by then."""
    await submit(publisher)

    while not await other._outbox.run(OutboxJournal.acquire_delivery_lock):  # noqa: ASYNC110 - another process has no event to set
        await asyncio.sleep(0.001)

    assert (0, 1, 0) == await counts(other)


async def test_many_in_two_processes_send_each_event_once(
    publisher: OutboxPublisher, other: OutboxPublisher, broker: FakeBroker
) -> None:
    """As long as nothing fails."""
    outcomes = await asyncio.gather(
        *(submit((publisher, other)[n % 2], str(n % 7), b"%d" % n, timeout_seconds=60) for n in range(100))
    )

    assert [None] * 100 == [outcome.error for outcome in outcomes]
    assert sorted(b"%d" % n for n in range(100)) == sorted(broker.values)


async def test_a_delivery_that_is_cancelled_before_it_begins_delays_no_close(
    publisher: OutboxPublisher, broker: FakeBroker
) -> None:
    """The end of an event loop cancels all of its tasks; such a task never runs a line of its own."""
    await submit(publisher)
    assert publisher._sender is not None
    others = asyncio.all_tasks()
    publisher._start_sweep(asyncio.get_running_loop().time() + 3600, publisher._sender)
    (sweep,) = asyncio.all_tasks() - others
    sweep.cancel()
    await publisher.close()

    assert sweep.cancelled()
    assert all(publisher.closed for publisher in broker.publishers)

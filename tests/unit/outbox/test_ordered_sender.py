"""Delivery in order per key."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState, StoredEvent
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.ordered_sender import OrderedSender
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.reconnect import ReconnectingPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.eventually import eventually
from support.kafka.events import an_event
from support.kafka.publisher import FakeBroker, Fault


class Setup:
    """An outbox, a broker, and the sender between them."""

    def __init__(self, path: Path) -> None:
        self.broker = FakeBroker()
        self.outbox = OutboxThread(path)
        self.connection = ReconnectingPublisher(self.broker.open)
        self.sender = OrderedSender(self.outbox, self.connection)

    async def accept(self, key: str, *values: bytes) -> list[StoredEvent]:
        """Write events of a key."""
        return [await self.outbox.run(OutboxJournal.accept, an_event(key, value)) for value in values]

    async def states(self) -> list[str]:
        """Return the state of every event, oldest first."""
        entries = await self.outbox.run(OutboxJournal.entries, 1000)
        return [entry.state.value for entry in reversed(entries)]

    async def close(self) -> None:
        """Close everything."""
        await self.connection.close()
        await self.outbox.close()


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    """All of it, closed afterwards."""
    setup = Setup(tmp_path / "outbox.sqlite3")
    yield setup
    await setup.close()


async def failure(setup: Setup, stored: StoredEvent) -> PublishError:
    """Return the error of a delivery."""
    with pytest.raises(PublishError) as caught:
        await setup.sender.deliver(stored, alone=False)
    return caught.value


async def test_an_event_is_sent_after_the_earlier_ones(setup: Setup) -> None:
    """And before the later ones."""
    _, second, _ = await setup.accept("a", b"1", b"2", b"3")

    delivery = await setup.sender.deliver(second, alone=False)

    assert Delivery(0, 1) == delivery
    assert [b"1", b"2"] == setup.broker.values
    assert ["sent", "sent", "waiting"] == await setup.states()


async def test_an_event_that_is_alone_is_sent_at_once(setup: Setup) -> None:
    """The outbox is not read for it."""
    (stored,) = await setup.accept("a", b"1")

    assert Delivery(0, 0) == await setup.sender.deliver(stored, alone=True)


async def test_events_of_other_keys_are_not_sent(setup: Setup) -> None:
    """They stay as they are."""
    await setup.accept("a", b"1")
    (stored,) = await setup.accept("b", b"2")

    await setup.sender.deliver(stored, alone=False)

    assert [b"2"] == setup.broker.values


async def test_an_event_that_another_process_has_sent_is_not_sent_again(setup: Setup) -> None:
    """The outbox has its place."""
    (stored,) = await setup.accept("a", b"1")
    setup.outbox.journal.queue_acknowledged(stored, Delivery(0, 0))

    assert await setup.sender.deliver(stored, alone=False) is None
    assert [] == setup.broker.values


async def test_a_failed_event_waits_with_its_reason(setup: Setup) -> None:
    """The caller gets the error."""
    setup.broker.script("a", Fault.REFUSED)
    (stored,) = await setup.accept("a", b"1")

    error = await failure(setup, stored)

    (entry,) = await setup.outbox.run(OutboxJournal.entries, 10)
    assert (True, "the broker does not respond") == (error.retry, error.message)
    assert (EventState.WAITING, 1, "the broker does not respond") == (entry.state, entry.attempts, entry.last_error)


async def test_a_failed_event_is_not_overtaken(setup: Setup) -> None:
    """The error of the later event names the one that blocks it."""
    setup.broker.script("a", Fault.REFUSED)
    first, second = await setup.accept("a", b"1", b"2")

    error = await failure(setup, second)

    assert [] == setup.broker.values
    assert error.retry
    assert (
        f"event {first.event.event_id}, which goes before it, is not delivered: the broker does not respond"
        == error.message
    )


async def test_an_event_that_is_refused_for_good_fails(setup: Setup) -> None:
    """The error says that trying again will not help."""
    setup.broker.script("a", Fault.NEVER)
    (stored,) = await setup.accept("a", b"1")

    error = await failure(setup, stored)

    assert not error.retry
    assert ["failed"] == await setup.states()


async def test_a_failed_event_blocks_its_key(setup: Setup) -> None:
    """The later event waits; nothing is sent to the broker."""
    setup.broker.script("a", Fault.NEVER)
    first, second = await setup.accept("a", b"1", b"2")
    await failure(setup, first)

    error = await failure(setup, second)

    assert error.retry
    blocked_by = f"event {first.event.event_id}, which goes before it, is not delivered"
    assert f"{blocked_by}: the broker refused it for good: too large" == error.message
    assert (["failed", "waiting"], 1) == (await setup.states(), setup.broker.opened)


async def test_an_event_whose_response_was_lost_is_sent_again(setup: Setup) -> None:
    """It may be stored twice, but never not at all."""
    setup.broker.script("a", Fault.LOST_RESPONSE)
    first, second = await setup.accept("a", b"1", b"2")
    await failure(setup, first)

    await setup.sender.deliver(second, alone=False)

    assert [b"1", b"1", b"2"] == setup.broker.values


async def test_events_of_one_key_are_never_under_way_together(setup: Setup) -> None:
    """However many callers there are."""
    setup.broker.pause = 0.005
    stored = await setup.accept("a", b"1", b"2", b"3")

    await asyncio.gather(*(setup.sender.deliver(one, alone=False) for one in reversed(stored)))

    assert [b"1", b"2", b"3"] == setup.broker.values
    assert 1 == setup.broker.busiest


async def test_callers_that_wait_for_a_turn_share_its_failure(setup: Setup) -> None:
    """They do not try the same event one after the other."""
    setup.broker.pause = 0.005
    setup.broker.script("a", Fault.REFUSED)
    stored = await setup.accept("a", b"1", b"2", b"3")

    results = await asyncio.gather(*(setup.sender.deliver(one, alone=False) for one in stored), return_exceptions=True)

    assert [b""] == [b"".join(setup.broker.values)]
    assert [True] * 3 == [isinstance(result, PublishError) for result in results]
    assert 1 == (await setup.outbox.run(OutboxJournal.entries, 10))[2].attempts


async def test_after_a_failure_the_key_can_be_tried_again(setup: Setup) -> None:
    """By the next caller."""
    setup.broker.script("a", Fault.REFUSED)
    (stored,) = await setup.accept("a", b"1")
    await failure(setup, stored)

    assert Delivery(0, 0) == await setup.sender.deliver(stored, alone=False)


async def test_a_sweep_delivers_all_waiting_events(setup: Setup) -> None:
    """In order per key, keys side by side."""
    setup.broker.pause = 0.005
    for value in (b"1", b"2", b"3"):
        for key in "abc":
            await setup.accept(key, value)

    error = await setup.sender.sweep()

    assert error is None
    assert {key: [b"1", b"2", b"3"] for key in "abc"} == {
        key: [record.value for record in setup.broker.records if record.key == key] for key in "abc"
    }
    assert 3 == setup.broker.busiest


async def test_a_sweep_works_on_a_few_keys_at_once(setup: Setup) -> None:
    """Not on all."""
    setup.broker.pause = 0.005
    for number in range(40):
        await setup.accept(str(number), b"")

    await setup.sender.sweep()

    assert 40 == len(setup.broker.records)
    assert 16 == setup.broker.busiest


async def test_a_sweep_skips_a_key_that_fails(setup: Setup) -> None:
    """It continues with the others."""
    setup.broker.script("a", Fault.REFUSED)
    await setup.accept("a", b"1", b"2")
    await setup.accept("b", b"3")

    error = await setup.sender.sweep()

    assert error is not None
    assert [b"3"] == setup.broker.values
    assert ["waiting", "waiting", "sent"] == await setup.states()


async def test_a_sweep_delivers_events_that_are_accepted_meanwhile(setup: Setup) -> None:
    """Another process does not deliver while this one does."""
    setup.broker.script("a", Fault.HANGS)
    await setup.accept("a", b"1")
    sweeping = asyncio.ensure_future(setup.sender.sweep())
    await setup.broker.busy()
    await setup.accept("b", b"2")
    await eventually(lambda: setup.broker.records)
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping

    assert [b"2"] == setup.broker.values


async def test_a_sweep_ends_if_no_connection_can_be_made(setup: Setup) -> None:
    """It does not try for every key."""
    setup.broker.down = True
    for number in range(40):
        await setup.accept(str(number), b"")

    error = await setup.sender.sweep()

    assert error is not None
    assert 1 == setup.broker.opened


async def test_the_next_sweep_tries_the_broker_again(setup: Setup) -> None:
    """It may be back."""
    setup.broker.down = True
    await setup.accept("a", b"1")
    await setup.sender.sweep()
    setup.broker.down = False

    assert await setup.sender.sweep() is None
    assert [b"1"] == setup.broker.values


async def test_a_cancelled_sweep_leaves_nothing_under_way(setup: Setup) -> None:
    """Its events wait."""
    setup.broker.script("a", Fault.HANGS)
    await setup.accept("a", b"1")
    sweeping = asyncio.ensure_future(setup.sender.sweep())
    await setup.broker.busy()
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
    await setup.close()

    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert ["waiting"] == await setup.states()


async def test_a_publisher_that_breaks_its_port_is_not_hidden(setup: Setup) -> None:
    """It is a defect of this program."""
    setup.broker.script("a", Fault.BUG)
    await setup.accept("a", b"1")

    with pytest.raises(LookupError):
        await setup.sender.sweep()


async def test_sent_events_are_counted_once(setup: Setup) -> None:
    """Whichever call sent them."""
    (stored,) = await setup.accept("a", b"1")
    await setup.accept("b", b"2")
    await setup.sender.deliver(stored, alone=False)
    await setup.sender.sweep()

    assert [2, 0] == [setup.sender.take_sent_count(), setup.sender.take_sent_count()]


async def test_a_failure_that_cannot_be_recorded_is_still_raised(setup: Setup) -> None:
    """The broker's error matters more."""
    setup.broker.script("a", Fault.REFUSED)
    (stored,) = await setup.accept("a", b"1")

    def spoil(file: OutboxJournal) -> None:
        file._db.execute("PRAGMA query_only = 1")

    await setup.outbox.run(spoil)

    with pytest.raises(PublishError, match="the broker does not respond"):
        await setup.sender.deliver(stored, alone=True)

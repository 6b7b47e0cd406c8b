"""Delivering in order per key."""

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
    """An outbox, a broker, and what delivers from one to the other."""

    def __init__(self, path: Path) -> None:
        self.broker = FakeBroker()
        self.outbox = OutboxThread(path)
        self.connection = ReconnectingPublisher(self.broker.open)
        self.sender = OrderedSender(self.outbox, self.connection)

    async def accept(self, key: str, *values: bytes) -> list[StoredEvent]:
        """Write events of a key."""
        return [await self.outbox.run(OutboxJournal.accept, an_event(key, value)) for value in values]

    async def states(self) -> list[str]:
        """The state of every event, oldest first."""
        entries = await self.outbox.run(OutboxJournal.entries, 1000)
        return [entry.state.value for entry in reversed(entries)]

    async def close(self) -> None:
        """Leave all."""
        await self.connection.close()
        await self.outbox.close()


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    """All of it, closed afterwards."""
    setup = Setup(tmp_path / "outbox.sqlite3")
    yield setup
    await setup.close()


async def failure(setup: Setup, stored: StoredEvent) -> PublishError:
    """How delivering it fails."""
    with pytest.raises(PublishError) as caught:
        await setup.sender.deliver(stored, alone=False)
    return caught.value


async def test_an_event_goes_behind_those_before_it(setup: Setup) -> None:
    """And not those after it."""
    _, second, _ = await setup.accept("a", b"1", b"2", b"3")

    delivery = await setup.sender.deliver(second, alone=False)

    assert Delivery(0, 1) == delivery
    assert [b"1", b"2"] == setup.broker.values
    assert ["sent", "sent", "waiting"] == await setup.states()


async def test_an_event_that_is_alone_goes_at_once(setup: Setup) -> None:
    """Nobody looks into the outbox for it."""
    (stored,) = await setup.accept("a", b"1")

    assert Delivery(0, 0) == await setup.sender.deliver(stored, alone=True)


async def test_other_keys_do_not_matter(setup: Setup) -> None:
    """They are left where they are."""
    await setup.accept("a", b"1")
    (stored,) = await setup.accept("b", b"2")

    await setup.sender.deliver(stored, alone=False)

    assert [b"2"] == setup.broker.values


async def test_an_event_that_somebody_else_has_sent_is_not_sent_again(setup: Setup) -> None:
    """Where it is, the outbox knows."""
    (stored,) = await setup.accept("a", b"1")
    setup.outbox.journal.queue_acknowledged(stored, Delivery(0, 0))

    assert await setup.sender.deliver(stored, alone=False) is None
    assert [] == setup.broker.values


async def test_a_failure_leaves_the_event_and_says_why(setup: Setup) -> None:
    """It waits, with the reason."""
    setup.broker.script("a", Fault.REFUSED)
    (stored,) = await setup.accept("a", b"1")

    error = await failure(setup, stored)

    (entry,) = await setup.outbox.run(OutboxJournal.entries, 10)
    assert (True, "the broker does not respond") == (error.retry, error.message)
    assert (EventState.WAITING, 1, "the broker does not respond") == (entry.state, entry.attempts, entry.last_error)


async def test_what_fails_is_not_overtaken(setup: Setup) -> None:
    """The event behind it is told which one is in its way."""
    setup.broker.script("a", Fault.REFUSED)
    first, second = await setup.accept("a", b"1", b"2")

    error = await failure(setup, second)

    assert [] == setup.broker.values
    assert error.retry
    assert (
        f"event {first.event.event_id}, which goes before it, is not delivered: the broker does not respond"
        == error.message
    )


async def test_a_hopeless_event_is_set_aside(setup: Setup) -> None:
    """The error says that no other try will help."""
    setup.broker.script("a", Fault.NEVER)
    (stored,) = await setup.accept("a", b"1")

    error = await failure(setup, stored)

    assert not error.retry
    assert ["failed"] == await setup.states()


async def test_what_was_set_aside_holds_up_its_key(setup: Setup) -> None:
    """What is behind it waits; the broker is not asked again."""
    setup.broker.script("a", Fault.NEVER)
    first, second = await setup.accept("a", b"1", b"2")
    await failure(setup, first)

    error = await failure(setup, second)

    assert error.retry
    blocked_by = f"event {first.event.event_id}, which goes before it, is not delivered"
    assert f"{blocked_by}: the broker refused it for good: too large" == error.message
    assert (["failed", "waiting"], 1) == (await setup.states(), setup.broker.opened)


async def test_an_event_whose_answer_was_lost_is_sent_again(setup: Setup) -> None:
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


async def test_those_who_wait_for_a_turn_share_its_failure(setup: Setup) -> None:
    """They do not try the same event one after the other."""
    setup.broker.pause = 0.005
    setup.broker.script("a", Fault.REFUSED)
    stored = await setup.accept("a", b"1", b"2", b"3")

    answers = await asyncio.gather(*(setup.sender.deliver(one, alone=False) for one in stored), return_exceptions=True)

    assert [b""] == [b"".join(setup.broker.values)]
    assert [True] * 3 == [isinstance(answer, PublishError) for answer in answers]
    assert 1 == (await setup.outbox.run(OutboxJournal.entries, 10))[2].attempts


async def test_after_a_failure_the_key_can_be_tried_again(setup: Setup) -> None:
    """By whoever comes then."""
    setup.broker.script("a", Fault.REFUSED)
    (stored,) = await setup.accept("a", b"1")
    await failure(setup, stored)

    assert Delivery(0, 0) == await setup.sender.deliver(stored, alone=False)


async def test_a_sweep_delivers_all_that_waits(setup: Setup) -> None:
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


async def test_a_sweep_leaves_a_key_that_fails(setup: Setup) -> None:
    """And goes on with the others."""
    setup.broker.script("a", Fault.REFUSED)
    await setup.accept("a", b"1", b"2")
    await setup.accept("b", b"3")

    error = await setup.sender.sweep()

    assert error is not None
    assert [b"3"] == setup.broker.values
    assert ["waiting", "waiting", "sent"] == await setup.states()


async def test_a_sweep_takes_what_comes_meanwhile(setup: Setup) -> None:
    """As another process does not deliver while this one does."""
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


async def test_a_sweep_ends_when_there_is_no_broker(setup: Setup) -> None:
    """It does not ask for every key."""
    setup.broker.down = True
    for number in range(40):
        await setup.accept(str(number), b"")

    error = await setup.sender.sweep()

    assert error is not None
    assert 1 == setup.broker.opened


async def test_the_next_sweep_tries_the_broker_again(setup: Setup) -> None:
    """It may have come back."""
    setup.broker.down = True
    await setup.accept("a", b"1")
    await setup.sender.sweep()
    setup.broker.down = False

    assert await setup.sender.sweep() is None
    assert [b"1"] == setup.broker.values


async def test_a_cancelled_sweep_leaves_nothing_under_way(setup: Setup) -> None:
    """What it was sending waits."""
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
    """It is a fault in this program."""
    setup.broker.script("a", Fault.BUG)
    await setup.accept("a", b"1")

    with pytest.raises(LookupError):
        await setup.sender.sweep()


async def test_what_was_sent_is_told_once(setup: Setup) -> None:
    """By whom ever it was sent."""
    (stored,) = await setup.accept("a", b"1")
    await setup.accept("b", b"2")
    await setup.sender.deliver(stored, alone=False)
    await setup.sender.sweep()

    assert [2, 0] == [setup.sender.take_sent_count(), setup.sender.take_sent_count()]


async def test_a_failure_that_cannot_be_noted_is_told_all_the_same(setup: Setup) -> None:
    """What the broker said matters more."""
    setup.broker.script("a", Fault.REFUSED)
    (stored,) = await setup.accept("a", b"1")

    def spoil(file: OutboxJournal) -> None:
        file._db.execute("PRAGMA query_only = 1")

    await setup.outbox.run(spoil)

    with pytest.raises(PublishError, match="the broker does not respond"):
        await setup.sender.deliver(stored, alone=True)

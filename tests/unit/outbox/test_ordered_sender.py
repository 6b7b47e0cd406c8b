"""Delivering in order per key."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import EventState, StoredEvent
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.ordered_sender import OrderedSender
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.reconnect import ReconnectingPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.thread import OutboxThread
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.eventually import eventually
from support.kafka.events import an_event
from support.kafka.publisher import FakeBroker, Fault


class House:
    """An outbox, a broker, and what delivers from one to the other."""

    def __init__(self, path: Path) -> None:
        self.broker = FakeBroker()
        self.outbox = OutboxThread(path)
        self.connection = ReconnectingPublisher(self.broker.open)
        self.deliverer = OrderedSender(self.outbox, self.connection)

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
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """All of it, closed afterwards."""
    house = House(tmp_path / "outbox.sqlite3")
    yield house
    await house.close()


async def failure(house: House, stored: StoredEvent) -> DeploymentSenderError:
    """How delivering it fails."""
    with pytest.raises(DeploymentSenderError) as caught:
        await house.deliverer.deliver(stored, alone=False)
    return caught.value


async def test_an_event_goes_behind_those_before_it(house: House) -> None:
    """And not those after it."""
    _, second, _ = await house.accept("a", b"1", b"2", b"3")

    delivery = await house.deliverer.deliver(second, alone=False)

    assert Delivery(0, 1) == delivery
    assert [b"1", b"2"] == house.broker.values
    assert ["sent", "sent", "waiting"] == await house.states()


async def test_an_event_that_is_alone_goes_at_once(house: House) -> None:
    """Nobody looks into the outbox for it."""
    (stored,) = await house.accept("a", b"1")

    assert Delivery(0, 0) == await house.deliverer.deliver(stored, alone=True)


async def test_other_keys_do_not_matter(house: House) -> None:
    """They are left where they are."""
    await house.accept("a", b"1")
    (stored,) = await house.accept("b", b"2")

    await house.deliverer.deliver(stored, alone=False)

    assert [b"2"] == house.broker.values


async def test_an_event_that_somebody_else_has_sent_is_not_sent_again(house: House) -> None:
    """Where it is, the outbox knows."""
    (stored,) = await house.accept("a", b"1")
    house.outbox.note_sent(stored, Delivery(0, 0))

    assert await house.deliverer.deliver(stored, alone=False) is None
    assert [] == house.broker.values


async def test_a_failure_leaves_the_event_and_says_why(house: House) -> None:
    """It waits, with the reason."""
    house.broker.script("a", Fault.REFUSED)
    (stored,) = await house.accept("a", b"1")

    error = await failure(house, stored)

    (entry,) = await house.outbox.run(OutboxJournal.entries, 10)
    assert (True, "the broker does not answer") == (error.retry, error.message)
    assert (EventState.WAITING, 1, "the broker does not answer") == (entry.state, entry.attempts, entry.last_error)


async def test_what_fails_is_not_overtaken(house: House) -> None:
    """The event behind it is told which one is in its way."""
    house.broker.script("a", Fault.REFUSED)
    first, second = await house.accept("a", b"1", b"2")

    error = await failure(house, second)

    assert [] == house.broker.values
    assert error.retry
    assert (
        f"event {first.event.event_id}, which goes before it, is not delivered: the broker does not answer"
        == error.message
    )


async def test_a_hopeless_event_is_set_aside(house: House) -> None:
    """The error says that no other try will help."""
    house.broker.script("a", Fault.NEVER)
    (stored,) = await house.accept("a", b"1")

    error = await failure(house, stored)

    assert not error.retry
    assert ["failed"] == await house.states()


async def test_what_was_set_aside_holds_up_its_key(house: House) -> None:
    """What is behind it waits; the broker is not asked again."""
    house.broker.script("a", Fault.NEVER)
    first, second = await house.accept("a", b"1", b"2")
    await failure(house, first)

    error = await failure(house, second)

    assert error.retry
    assert f"event {first.event.event_id}, which goes before it, is not delivered: it was set aside: too large" == (
        error.message
    )
    assert (["failed", "waiting"], 1) == (await house.states(), house.broker.opened)


async def test_an_event_whose_answer_was_lost_is_sent_again(house: House) -> None:
    """It may be stored twice, but never not at all."""
    house.broker.script("a", Fault.LOST_ANSWER)
    first, second = await house.accept("a", b"1", b"2")
    await failure(house, first)

    await house.deliverer.deliver(second, alone=False)

    assert [b"1", b"1", b"2"] == house.broker.values


async def test_events_of_one_key_are_never_under_way_together(house: House) -> None:
    """However many callers there are."""
    house.broker.pause = 0.005
    stored = await house.accept("a", b"1", b"2", b"3")

    await asyncio.gather(*(house.deliverer.deliver(one, alone=False) for one in reversed(stored)))

    assert [b"1", b"2", b"3"] == house.broker.values
    assert 1 == house.broker.busiest


async def test_those_who_wait_for_a_turn_share_its_failure(house: House) -> None:
    """They do not try the same event one after the other."""
    house.broker.pause = 0.005
    house.broker.script("a", Fault.REFUSED)
    stored = await house.accept("a", b"1", b"2", b"3")

    answers = await asyncio.gather(
        *(house.deliverer.deliver(one, alone=False) for one in stored), return_exceptions=True
    )

    assert [b""] == [b"".join(house.broker.values)]
    assert [True] * 3 == [isinstance(answer, DeploymentSenderError) for answer in answers]
    assert 1 == (await house.outbox.run(OutboxJournal.entries, 10))[2].attempts


async def test_after_a_failure_the_key_can_be_tried_again(house: House) -> None:
    """By whoever comes then."""
    house.broker.script("a", Fault.REFUSED)
    (stored,) = await house.accept("a", b"1")
    await failure(house, stored)

    assert Delivery(0, 0) == await house.deliverer.deliver(stored, alone=False)


async def test_a_sweep_delivers_all_that_waits(house: House) -> None:
    """In order per key, keys side by side."""
    house.broker.pause = 0.005
    for value in (b"1", b"2", b"3"):
        for key in "abc":
            await house.accept(key, value)

    error = await house.deliverer.sweep()

    assert error is None
    assert {key: [b"1", b"2", b"3"] for key in "abc"} == {
        key: [record.value for record in house.broker.records if record.key == key] for key in "abc"
    }
    assert 3 == house.broker.busiest


async def test_a_sweep_works_on_a_few_keys_at_once(house: House) -> None:
    """Not on all."""
    house.broker.pause = 0.005
    for number in range(40):
        await house.accept(str(number), b"")

    await house.deliverer.sweep()

    assert 40 == len(house.broker.records)
    assert 16 == house.broker.busiest


async def test_a_sweep_leaves_a_key_that_fails(house: House) -> None:
    """And goes on with the others."""
    house.broker.script("a", Fault.REFUSED)
    await house.accept("a", b"1", b"2")
    await house.accept("b", b"3")

    error = await house.deliverer.sweep()

    assert error is not None
    assert [b"3"] == house.broker.values
    assert ["waiting", "waiting", "sent"] == await house.states()


async def test_a_sweep_takes_what_comes_meanwhile(house: House) -> None:
    """As another process does not deliver while this one does."""
    house.broker.script("a", Fault.HANGS)
    await house.accept("a", b"1")
    sweeping = asyncio.ensure_future(house.deliverer.sweep())
    await house.broker.busy()
    await house.accept("b", b"2")
    await eventually(lambda: house.broker.records)
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping

    assert [b"2"] == house.broker.values


async def test_a_sweep_ends_when_there_is_no_broker(house: House) -> None:
    """It does not ask for every key."""
    house.broker.down = True
    for number in range(40):
        await house.accept(str(number), b"")

    error = await house.deliverer.sweep()

    assert error is not None
    assert 1 == house.broker.opened


async def test_the_next_sweep_tries_the_broker_again(house: House) -> None:
    """It may have come back."""
    house.broker.down = True
    await house.accept("a", b"1")
    await house.deliverer.sweep()
    house.broker.down = False

    assert await house.deliverer.sweep() is None
    assert [b"1"] == house.broker.values


async def test_a_cancelled_sweep_leaves_nothing_under_way(house: House) -> None:
    """What it was sending waits."""
    house.broker.script("a", Fault.HANGS)
    await house.accept("a", b"1")
    sweeping = asyncio.ensure_future(house.deliverer.sweep())
    await house.broker.busy()
    sweeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sweeping
    await house.close()

    assert {asyncio.current_task()} == asyncio.all_tasks()
    assert ["waiting"] == await house.states()


async def test_a_publisher_that_breaks_its_port_is_not_hidden(house: House) -> None:
    """It is a fault in this program."""
    house.broker.script("a", Fault.BUG)
    await house.accept("a", b"1")

    with pytest.raises(LookupError):
        await house.deliverer.sweep()


async def test_what_was_sent_is_told_once(house: House) -> None:
    """By whom ever it was sent."""
    (stored,) = await house.accept("a", b"1")
    await house.accept("b", b"2")
    await house.deliverer.deliver(stored, alone=False)
    await house.deliverer.sweep()

    assert [2, 0] == [house.deliverer.take_sent(), house.deliverer.take_sent()]


async def test_a_failure_that_cannot_be_noted_is_told_all_the_same(house: House) -> None:
    """What the broker said matters more."""
    house.broker.script("a", Fault.REFUSED)
    (stored,) = await house.accept("a", b"1")

    def spoil(file: OutboxJournal) -> None:
        file._db.execute("PRAGMA query_only = 1")

    await house.outbox.run(spoil)

    with pytest.raises(DeploymentSenderError, match="the broker does not answer"):
        await house.deliverer.deliver(stored, alone=True)

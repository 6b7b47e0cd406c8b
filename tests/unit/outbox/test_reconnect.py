"""The one connection to the broker."""

import asyncio

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.reconnect import ReconnectingPublisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.kafka.events import an_event
from support.kafka.publisher import FakeBroker, Fault


@pytest.fixture
def broker() -> FakeBroker:
    """The broker."""
    return FakeBroker()


@pytest.fixture
def connection(broker: FakeBroker) -> ReconnectingPublisher:
    """The connection to it."""
    return ReconnectingPublisher(broker.open)


async def test_it_connects_once_when_first_used(broker: FakeBroker, connection: ReconnectingPublisher) -> None:
    """However many events are published at once."""
    opened = [broker.opened]
    deliveries = await asyncio.gather(*(connection.publish(an_event(key)) for key in "abc"))

    assert [0, 1] == [*opened, broker.opened]
    assert [Delivery(0, 0), Delivery(0, 1), Delivery(0, 2)] == deliveries


async def test_the_event_is_sent_unchanged(broker: FakeBroker, connection: ReconnectingPublisher) -> None:
    """Topic, key and value."""
    await connection.publish(an_event("é", b"value", "topic"))

    assert [("topic", "é", b"value")] == [(record.topic, record.key, record.value) for record in broker.records]


async def test_after_a_failed_connect_the_next_event_tries_again(
    broker: FakeBroker, connection: ReconnectingPublisher
) -> None:
    """Nothing is kept of the attempt."""
    broker.down = True
    with pytest.raises(PublishError):
        await connection.publish(an_event())
    failure = connection.failure
    broker.down = False

    await connection.publish(an_event())

    assert failure is not None
    assert connection.failure is None
    assert 2 == broker.opened


async def test_callers_that_wait_for_one_attempt_share_its_failure(
    broker: FakeBroker, connection: ReconnectingPublisher
) -> None:
    """They do not try one after the other."""
    broker.down = True

    results = await asyncio.gather(*(connection.publish(an_event(key)) for key in "abc"), return_exceptions=True)

    assert 1 == broker.opened
    assert [connection.failure] * 3 == results


async def test_after_an_error_with_retry_it_connects_again(
    broker: FakeBroker, connection: ReconnectingPublisher
) -> None:
    """The old connection is closed."""
    broker.script("a", Fault.REFUSED)
    with pytest.raises(PublishError):
        await connection.publish(an_event("a"))

    await connection.publish(an_event("a"))
    await connection.close()

    assert 2 == broker.opened
    assert [True, True] == [publisher.closed for publisher in broker.publishers]


async def test_an_error_of_the_event_keeps_the_connection(
    broker: FakeBroker, connection: ReconnectingPublisher
) -> None:
    """The next event uses it."""
    broker.script("a", Fault.NEVER)
    with pytest.raises(PublishError):
        await connection.publish(an_event("a"))

    await connection.publish(an_event("b"))

    assert 1 == broker.opened


async def test_after_a_cancelled_publish_it_connects_again(
    broker: FakeBroker, connection: ReconnectingPublisher
) -> None:
    """The old connection may hang."""
    broker.script("a", Fault.HANGS)
    hanging = asyncio.ensure_future(connection.publish(an_event("a")))
    await broker.busy()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging

    await connection.publish(an_event("a"))

    assert 2 == broker.opened


async def test_a_connection_on_which_two_events_fail_is_closed_once(
    broker: FakeBroker, connection: ReconnectingPublisher
) -> None:
    """And not the new one."""
    broker.script("a", Fault.REFUSED)
    broker.script("b", Fault.REFUSED)
    await asyncio.gather(*(connection.publish(an_event(key)) for key in "ab"), return_exceptions=True)

    await connection.publish(an_event("a"))
    await connection.publish(an_event("b"))

    assert 2 == broker.opened


async def test_closing_waits_for_every_connection(broker: FakeBroker, connection: ReconnectingPublisher) -> None:
    """Calling it twice is safe, and afterwards it connects again."""
    broker.script("a", Fault.REFUSED)
    with pytest.raises(PublishError):
        await connection.publish(an_event("a"))
    await connection.publish(an_event("a"))

    await connection.close()
    await connection.close()
    closed = [publisher.closed for publisher in broker.publishers]
    await connection.publish(an_event("a"))

    assert [True, True] == closed
    assert 3 == broker.opened


async def test_closing_what_was_never_used_does_nothing(broker: FakeBroker, connection: ReconnectingPublisher) -> None:
    """There is nothing to close."""
    await connection.close()

    assert 0 == broker.opened

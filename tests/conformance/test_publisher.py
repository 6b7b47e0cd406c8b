"""The rules of the port `EventPublisher`: the publisher in memory and the one for Kafka pass the same tests.

The Kafka broker is real. A deadline is really waited for, and no test bounds how long anything takes.
"""

import asyncio
import gc
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.kafka.publisher import open_publisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery, EventPublisher
from support.kafka.broker import KafkaBroker, running_broker
from support.kafka.publisher import FakeBroker

TOPIC = "onex.evt.deployment-sender.build-started.v1"
Record = tuple[str, bytes, bytes, Delivery]


class Broker(ABC):
    """A broker that tests can stop and freeze."""

    @abstractmethod
    async def open(self, timeout_seconds: float = 60) -> EventPublisher:
        """Connect."""

    @abstractmethod
    async def records(self) -> list[Record]:
        """Return what is stored: topic, key, value and place."""

    @abstractmethod
    def stop(self) -> None:
        """Close all connections, and accept none."""

    @abstractmethod
    def freeze(self) -> None:
        """Respond to nothing."""

    @abstractmethod
    def thaw(self) -> None:
        """Respond again."""


class InMemory(Broker):
    """The fake."""

    def __init__(self) -> None:
        self._broker = FakeBroker()

    async def open(self, timeout_seconds: float = 60) -> EventPublisher:
        self._broker.timeout_seconds = timeout_seconds
        return await self._broker.open()

    async def records(self) -> list[Record]:
        return [(one.topic, one.key.encode(), one.value, Delivery(0, one.offset)) for one in self._broker.records]

    def stop(self) -> None:
        self._broker.down = True

    def freeze(self) -> None:
        self._broker.stuck = True
        self._broker.gate.clear()

    def thaw(self) -> None:
        self._broker.stuck = False
        self._broker.gate.set()


class Kafka(Broker):
    """The real one."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker

    async def open(self, timeout_seconds: float = 60) -> EventPublisher:
        return await open_publisher(self._broker.address, timeout_seconds)

    async def records(self) -> list[Record]:
        found = await self._broker.records([TOPIC])
        return [(one.topic, one.key.encode(), one.value, Delivery(one.partition, one.offset)) for one in found]

    def stop(self) -> None:
        self._broker.stop()

    def freeze(self) -> None:
        self._broker.freeze()

    def thaw(self) -> None:
        self._broker.thaw()


@pytest.fixture(params=["in memory", "kafka"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    """Each broker in turn."""
    if request.param == "in memory":
        yield InMemory()
    else:
        with running_broker(tmp_path / "broker") as kafka:
            asyncio.run(kafka.create_topics([TOPIC]))
            yield Kafka(kafka)


@pytest.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """No task is left, and no connection is collected open."""
    yield
    gc.collect()
    assert {asyncio.current_task()} == asyncio.all_tasks()


async def opened(broker: Broker, timeout_seconds: float) -> EventPublisher:
    """Connect with a short deadline, which a busy machine may need several attempts for."""
    while True:
        with suppress(PublishError):
            return await broker.open(timeout_seconds)


async def failure(work: Awaitable[object]) -> PublishError:
    """Return the error of a call: always the port's own type."""
    with pytest.raises(PublishError) as caught:
        await work
    return caught.value


async def test_an_acknowledged_event_is_stored_where_the_broker_says(broker: Broker) -> None:
    """Topic, key and value are unchanged; partition and offset are the broker's own."""
    publisher = await broker.open()

    delivery = await publisher.publish(TOPIC, b"key", b'{"a": 1}')
    await publisher.close()

    assert [(TOPIC, b"key", b'{"a": 1}', delivery)] == await broker.records()


async def test_events_of_one_key_are_stored_in_order(broker: Broker) -> None:
    """In one partition, at ascending offsets."""
    publisher = await broker.open()

    places = [await publisher.publish(TOPIC, b"key", b"%d" % number) for number in range(5)]
    await publisher.close()

    assert 1 == len({place.partition for place in places})
    assert sorted(place.offset for place in places) == [place.offset for place in places]
    assert [b"0", b"1", b"2", b"3", b"4"] == [value for _, _, value, _ in await broker.records()]


async def test_events_published_at_once_are_all_stored(broker: Broker) -> None:
    """Each at a place of its own."""
    publisher = await broker.open()

    places = await asyncio.gather(*(publisher.publish(TOPIC, b"%d" % n, b"%d" % n) for n in range(20)))
    await publisher.close()

    assert 20 == len({(place.partition, place.offset) for place in places})
    assert {(b"%d" % n, place) for n, place in enumerate(places)} == {
        (value, place) for _, _, value, place in await broker.records()
    }


async def test_an_event_that_is_too_large_is_refused_for_good(broker: Broker) -> None:
    """The connection goes on with the next event."""
    publisher = await broker.open()

    error = await failure(publisher.publish(TOPIC, b"key", b"x" * (2 << 20)))  # 2 MiB
    await publisher.publish(TOPIC, b"key", b"small")
    await publisher.close()

    assert not error.retry
    assert [b"small"] == [value for _, _, value, _ in await broker.records()]


async def test_connecting_to_a_broker_that_is_not_there_may_be_tried_again(broker: Broker) -> None:
    """It may start."""
    broker.stop()

    assert (await failure(broker.open())).retry


async def test_publishing_to_a_broker_that_has_stopped_may_be_tried_again(broker: Broker) -> None:
    """It may start again."""
    publisher = await opened(broker, 2)
    await publisher.publish(TOPIC, b"key", b"value")
    broker.stop()

    error = await failure(publisher.publish(TOPIC, b"key", b"value"))
    await publisher.close()

    assert error.retry


async def test_connecting_to_a_broker_that_hangs_ends_at_the_deadline(broker: Broker) -> None:
    """With the port's error, and it may be tried again."""
    broker.freeze()

    assert (await failure(broker.open(0.5))).retry


async def test_a_publish_that_hangs_ends_at_the_deadline(broker: Broker) -> None:
    """The broker may store the event or not; so does closing end."""
    publisher = await opened(broker, 1)
    broker.freeze()

    error = await failure(publisher.publish(TOPIC, b"key", b"value"))
    await publisher.close()

    assert error.retry


async def test_connecting_can_be_cancelled_while_the_broker_hangs(broker: Broker) -> None:
    """Nothing stays open, and the next attempt succeeds once the broker responds."""
    broker.freeze()
    opening = asyncio.ensure_future(broker.open(5))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    broker.thaw()

    publisher = await broker.open()
    await publisher.publish(TOPIC, b"key", b"value")
    await publisher.close()


async def test_a_publish_can_be_cancelled_while_the_broker_hangs(broker: Broker) -> None:
    """The connection goes on once the broker responds."""
    publisher = await broker.open()
    await publisher.publish(TOPIC, b"key", b"first")
    broker.freeze()
    publishing = asyncio.ensure_future(publisher.publish(TOPIC, b"key", b"cancelled"))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    broker.thaw()

    await publisher.publish(TOPIC, b"key", b"last")
    await publisher.close()

    values = [value for _, _, value, _ in await broker.records()]
    assert (b"first", b"last") == (values[0], values[-1])


async def test_a_closed_publisher_publishes_nothing(broker: Broker) -> None:
    """Another connection can."""
    publisher = await broker.open()
    await publisher.close()

    error = await failure(publisher.publish(TOPIC, b"key", b"value"))

    assert error.retry
    assert [] == await broker.records()


async def close_twice(publisher: EventPublisher) -> None:
    """One after the other."""
    await publisher.close()
    await publisher.close()


async def close_at_once(publisher: EventPublisher) -> None:
    """Side by side."""
    await asyncio.gather(publisher.close(), publisher.close())


async def cancel_and_close(publisher: EventPublisher) -> None:
    """Cancel the first call half-way."""
    closing = asyncio.ensure_future(publisher.close())
    await asyncio.sleep(0)
    closing.cancel()
    with suppress(asyncio.CancelledError):
        await closing
    await publisher.close()


@pytest.mark.parametrize("close", [close_twice, close_at_once, cancel_and_close])
async def test_closing_is_safe(broker: Broker, close: Callable[[EventPublisher], Awaitable[None]]) -> None:
    """However often, and also when it is cancelled."""
    publisher = await broker.open()
    await publisher.publish(TOPIC, b"key", b"value")

    await close(publisher)

    assert (await failure(publisher.publish(TOPIC, b"key", b"value"))).retry

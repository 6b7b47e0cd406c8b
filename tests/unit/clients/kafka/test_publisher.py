"""The publisher for Kafka, with a broker that responds by script."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.kafka.publisher import KafkaPublisher, open_publisher
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import PublishError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Delivery
from support.eventually import eventually
from support.kafka.protocol import (
    API_VERSIONS,
    BATCH_TOO_LARGE,
    INVALID_TOPIC,
    METADATA,
    NOT_AUTHORIZED,
    PRODUCE,
    TOO_LARGE,
    ScriptedKafka,
)

TOPIC = "onex.evt.deployment-sender.build-started.v1"


@pytest.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """No task is left, and aiokafka warns of nothing when it is collected."""
    yield
    gc.collect()
    assert {asyncio.current_task()} == asyncio.all_tasks()


@pytest.fixture
async def kafka() -> AsyncIterator[ScriptedKafka]:
    """A broker."""
    async with ScriptedKafka() as kafka:
        yield kafka


@pytest.fixture
async def publisher(kafka: ScriptedKafka) -> AsyncIterator[KafkaPublisher]:
    """A connection to it."""
    publisher = await open_publisher(kafka.address, 60)
    yield publisher
    await publisher.close()


@pytest.fixture
async def short_lived(kafka: ScriptedKafka) -> AsyncIterator[KafkaPublisher]:
    """A connection with a deadline of 1 s; a busy machine may need several attempts to open it."""
    publisher = None
    while publisher is None:
        with suppress(PublishError):
            publisher = await open_publisher(kafka.address, 1)
    yield publisher
    await publisher.close()


async def open_failure(servers: str, timeout_seconds: float = 60) -> PublishError:
    """Return the error of connecting."""
    with pytest.raises(PublishError) as caught:
        await open_publisher(servers, timeout_seconds)
    return caught.value


async def publish_failure(publisher: KafkaPublisher) -> PublishError:
    """Return the error of publishing."""
    with pytest.raises(PublishError) as caught:
        await publisher.publish(TOPIC, b"key", b"value")
    return caught.value


async def test_an_acknowledged_event_is_where_the_broker_says(publisher: KafkaPublisher) -> None:
    """Both numbers are its own."""
    assert Delivery(0, 42) == await publisher.publish(TOPIC, b"key", b"value")
    assert Delivery(0, 43) == await publisher.publish(TOPIC, b"key", b"value")


async def test_a_missing_broker_is_reported_with_its_address() -> None:
    """Nothing stays open."""
    error = await open_failure("127.0.0.1:1")

    assert error.retry
    assert "no Kafka broker responds at 127.0.0.1:1: no connection" == error.message


@pytest.mark.parametrize("servers", ["no-such-host.invalid:9092", "127.0.0.1:port", "127.0.0.1:99999999"])
async def test_a_wrong_address_is_reported(servers: str) -> None:
    """Whatever is wrong with it."""
    error = await open_failure(servers)

    assert f"no Kafka broker responds at {servers}: " in error.message


async def test_connecting_to_a_silent_broker_ends_in_time(kafka: ScriptedKafka) -> None:
    """It accepts the connection and responds to nothing."""
    kafka.silent.add(API_VERSIONS)

    error = await open_failure(kafka.address, 0.5)

    assert "no Kafka broker responds" in error.message


async def test_connecting_to_several_silent_brokers_ends_in_time(kafka: ScriptedKafka) -> None:
    """They share one deadline."""
    kafka.silent.add(API_VERSIONS)

    error = await open_failure(",".join([kafka.address] * 20), 0.5)

    assert "no connection" in error.message


async def test_connecting_to_something_else_than_a_broker_ends_in_time() -> None:
    """A web server, for example."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await open_failure(f"127.0.0.1:{port}")

    assert "no Kafka broker responds" in error.message


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("request_kind", [API_VERSIONS, METADATA])
async def test_cancelling_while_it_connects_leaves_nothing_open(request_kind: int, times: int) -> None:
    """At either request, once or twice; aiokafka alone would lose a connection."""
    async with ScriptedKafka(silent={request_kind}) as kafka:
        opening = asyncio.ensure_future(open_publisher(kafka.address, 5))
        await eventually(lambda: kafka.silenced)
        for _ in range(times):
            opening.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await opening
        del opening


@pytest.mark.parametrize("code", [TOO_LARGE, BATCH_TOO_LARGE, INVALID_TOPIC])
async def test_an_event_that_the_broker_refuses_for_good_is_not_tried_again(
    kafka: ScriptedKafka, publisher: KafkaPublisher, code: int
) -> None:
    """The event is at fault."""
    kafka.produce.append(code)

    error = await publish_failure(publisher)

    assert (False, 1) == (error.retry, kafka.produced)
    assert f"the broker at {kafka.address} did not accept the event for {TOPIC}: [Error {code}]" in error.message


async def test_an_event_that_aiokafka_itself_refuses_is_not_tried_again(publisher: KafkaPublisher) -> None:
    """It is too large for any broker."""
    with pytest.raises(PublishError) as caught:
        await publisher.publish(TOPIC, b"key", b"x" * 2_000_000)

    assert not caught.value.retry
    assert "message.max.bytes" in caught.value.recovery


async def test_an_event_without_rights_may_be_tried_again(kafka: ScriptedKafka, publisher: KafkaPublisher) -> None:
    """The rights can be granted."""
    kafka.produce.append(NOT_AUTHORIZED)

    error = await publish_failure(publisher)

    assert error.retry
    assert "[Error 29]" in error.message


async def test_a_missing_topic_is_reported_after_a_wait(
    kafka: ScriptedKafka, publisher: KafkaPublisher, short_lived: KafkaPublisher
) -> None:
    """It can be created."""
    kafka.missing.add(TOPIC)

    error = await publish_failure(short_lived)
    kafka.missing.clear()

    assert error.retry
    assert "Create that topic" in error.recovery
    assert Delivery(0, 42) == await publisher.publish(TOPIC, b"key", b"value")


async def test_publishing_to_a_broker_that_stops_responding_ends_in_time(
    kafka: ScriptedKafka, publisher: KafkaPublisher
) -> None:
    """The event may be stored; that is not known."""
    kafka.silent.add(PRODUCE)

    error = await publish_failure(publisher)

    assert (True, True) == (error.retry, "RequestTimedOutError" in error.message)


async def test_publishing_without_metadata_ends_at_the_deadline(
    kafka: ScriptedKafka, short_lived: KafkaPublisher
) -> None:
    """Whatever aiokafka waits for."""
    kafka.silent.add(METADATA)

    error = await publish_failure(short_lived)

    assert error.retry


async def test_closing_while_a_response_is_missing_ends_in_time(
    kafka: ScriptedKafka, short_lived: KafkaPublisher
) -> None:
    """The publish that waits for it raises an error."""
    kafka.silent.add(PRODUCE)
    publishing = asyncio.ensure_future(publish_failure(short_lived))
    await eventually(lambda: kafka.produced)

    await short_lived.close()

    assert (await publishing).retry


async def test_closing_twice_is_safe_and_so_is_cancelling_it(kafka: ScriptedKafka, short_lived: KafkaPublisher) -> None:
    """It continues in the background."""
    closing = asyncio.ensure_future(short_lived.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    await short_lived.close()
    await short_lived.close()

    assert (await publish_failure(short_lived)).retry


async def test_a_cancelled_publish_is_cancelled_at_once(kafka: ScriptedKafka) -> None:
    """The broker may have stored the event."""
    kafka.silent.add(PRODUCE)
    publisher = await open_publisher(kafka.address, 10)
    publishing = asyncio.ensure_future(publisher.publish(TOPIC, b"key", b"value"))
    await eventually(lambda: kafka.produced)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    await publisher.close()

    assert 1 == kafka.produced


async def test_a_stop_that_hangs_ends_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged."""

    class Hangs:
        async def stop(self) -> None:
            await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING):
        await KafkaPublisher(Hangs(), "127.0.0.1:9092", 0.05).close()

    assert ["closing the connection to the broker at 127.0.0.1:9092 failed: TimeoutError"] == [
        record.getMessage() for record in caplog.records
    ]

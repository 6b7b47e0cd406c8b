"""The port to a Kafka broker, against a broker that answers by script."""

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
    """No task stays, and aiokafka has nothing to warn of when it is collected."""
    yield
    gc.collect()
    assert {asyncio.current_task()} == asyncio.all_tasks()


@pytest.fixture
async def kafka() -> AsyncIterator[ScriptedKafka]:
    """The broker."""
    async with ScriptedKafka() as kafka:
        yield kafka


@pytest.fixture
async def publisher(kafka: ScriptedKafka) -> AsyncIterator[KafkaPublisher]:
    """A connection to it."""
    publisher = await open_publisher(kafka.address, 60)
    yield publisher
    await publisher.close()


@pytest.fixture
async def impatient(kafka: ScriptedKafka) -> AsyncIterator[KafkaPublisher]:
    """One that does not wait long; a busy machine may need several tries to open it."""
    publisher = None
    while publisher is None:
        with suppress(PublishError):
            publisher = await open_publisher(kafka.address, 1)
    yield publisher
    await publisher.close()


async def open_failure(servers: str, timeout_seconds: float = 60) -> PublishError:
    """How connecting fails."""
    with pytest.raises(PublishError) as caught:
        await open_publisher(servers, timeout_seconds)
    return caught.value


async def publish_failure(publisher: KafkaPublisher) -> PublishError:
    """How publishing fails."""
    with pytest.raises(PublishError) as caught:
        await publisher.publish(TOPIC, b"key", b"value")
    return caught.value


async def test_an_acknowledged_event_is_where_the_broker_says(publisher: KafkaPublisher) -> None:
    """Both numbers are its own."""
    assert Delivery(0, 42) == await publisher.publish(TOPIC, b"key", b"value")
    assert Delivery(0, 43) == await publisher.publish(TOPIC, b"key", b"value")


async def test_a_broker_that_is_not_there_is_told_at_once() -> None:
    """With its address, and nothing stays open."""
    error = await open_failure("127.0.0.1:1")

    assert error.retry
    assert "no Kafka broker responds at 127.0.0.1:1: no connection" == error.message


@pytest.mark.parametrize("servers", ["no-such-host.invalid:9092", "127.0.0.1:port", "127.0.0.1:99999999"])
async def test_an_address_that_leads_nowhere_is_told_as_one(servers: str) -> None:
    """Whatever is wrong with it."""
    error = await open_failure(servers)

    assert f"no Kafka broker responds at {servers}: " in error.message


async def test_a_broker_that_accepts_and_says_nothing_is_left_in_time(kafka: ScriptedKafka) -> None:
    """Before the deadline."""
    kafka.silent.add(API_VERSIONS)

    error = await open_failure(kafka.address, 0.5)

    assert "no Kafka broker responds" in error.message


async def test_several_brokers_that_say_nothing_are_left_at_the_deadline(kafka: ScriptedKafka) -> None:
    """They do not get one each."""
    kafka.silent.add(API_VERSIONS)

    error = await open_failure(",".join([kafka.address] * 20), 0.5)

    assert "no connection" in error.message


async def test_something_else_than_a_broker_is_left_in_time() -> None:
    """A web server, for one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await open_failure(f"127.0.0.1:{port}")

    assert "no Kafka broker responds" in error.message


@pytest.mark.parametrize("request_kind", [API_VERSIONS, METADATA])
async def test_cancelling_while_it_connects_leaves_nothing_open(request_kind: int) -> None:
    """Wherever it is; aiokafka alone would forget a connection."""
    async with ScriptedKafka(silent={request_kind}) as kafka:
        opening = asyncio.ensure_future(open_publisher(kafka.address, 5))
        await eventually(lambda: kafka.connections)
        await asyncio.sleep(0.05)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        del opening


@pytest.mark.parametrize("code", [TOO_LARGE, BATCH_TOO_LARGE, INVALID_TOPIC])
async def test_what_the_broker_will_never_take_is_not_tried_again(
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


async def test_rights_can_be_granted(kafka: ScriptedKafka, publisher: KafkaPublisher) -> None:
    """So the event is not hopeless without them."""
    kafka.produce.append(NOT_AUTHORIZED)

    error = await publish_failure(publisher)

    assert error.retry
    assert "[Error 29]" in error.message


async def test_a_topic_that_is_not_there_is_waited_for_and_told(
    kafka: ScriptedKafka, publisher: KafkaPublisher, impatient: KafkaPublisher
) -> None:
    """Somebody can create it."""
    kafka.missing.add(TOPIC)

    error = await publish_failure(impatient)
    kafka.missing.clear()

    assert error.retry
    assert "Create that topic" in error.recovery
    assert Delivery(0, 42) == await publisher.publish(TOPIC, b"key", b"value")


async def test_a_broker_that_answers_no_more_is_left_in_time(kafka: ScriptedKafka, publisher: KafkaPublisher) -> None:
    """The event may be stored; nobody knows."""
    kafka.silent.add(PRODUCE)

    error = await publish_failure(publisher)

    assert (True, True) == (error.retry, "RequestTimedOutError" in error.message)


async def test_metadata_that_never_come_end_at_the_deadline(kafka: ScriptedKafka, impatient: KafkaPublisher) -> None:
    """Whatever aiokafka waits for."""
    kafka.silent.add(METADATA)

    error = await publish_failure(impatient)

    assert error.retry


async def test_closing_while_an_answer_is_missing_ends_in_time(kafka: ScriptedKafka, impatient: KafkaPublisher) -> None:
    """Who waits for it is told."""
    kafka.silent.add(PRODUCE)
    publishing = asyncio.ensure_future(publish_failure(impatient))
    await eventually(lambda: kafka.produced)

    await impatient.close()

    assert (await publishing).retry


async def test_closing_twice_is_safe_and_so_is_cancelling_it(kafka: ScriptedKafka, impatient: KafkaPublisher) -> None:
    """It goes on all the same."""
    closing = asyncio.ensure_future(impatient.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    await impatient.close()
    await impatient.close()

    assert (await publish_failure(impatient)).retry


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


async def test_a_stop_that_hangs_is_left_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """And logged."""

    class Hangs:
        async def stop(self) -> None:
            await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING):
        await KafkaPublisher(Hangs(), "127.0.0.1:9092", 0.05).close()

    assert ["closing the connection to the broker at 127.0.0.1:9092 failed: TimeoutError"] == [
        record.getMessage() for record in caplog.records
    ]

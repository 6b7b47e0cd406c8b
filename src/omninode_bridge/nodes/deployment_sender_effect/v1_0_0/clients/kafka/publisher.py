"""The port `EventPublisher` on aiokafka.

aiokafka takes 0.1 to 0.3 s to load, so this module is imported where a publisher is opened, in a thread.
"""

import asyncio
import logging

from aiokafka import AIOKafkaProducer, errors  # type: ignore[import-untyped]

from ...concurrency import retrieve_exception, wait_until_done
from ...errors import PublishError
from ...ports import Delivery

__all__ = ["KafkaPublisher", "open_publisher"]

_log = logging.getLogger(__name__)

_REQUEST_TIMEOUT_SECONDS = 2.0
# Connecting takes three requests at most (the connection, ApiVersions, Metadata), each with this share of the time that
# is left: so it ends by itself before the deadline.
_REQUEST_SHARE = 0.3
# Every KafkaError is a RuntimeError; the last two are raised for addresses that cannot be parsed.
_FOREIGN = (RuntimeError, OSError, ValueError, OverflowError)
_CLIENT_ID = "deployment-sender"


async def open_publisher(bootstrap_servers: str, timeout_seconds: float) -> "KafkaPublisher":
    """Connect to a broker, by the first address that responds.

    Args:
        bootstrap_servers: `host:port[,host:port]`.
        timeout_seconds: Bounds this call, each `publish` and `close`.

    Raises:
        PublishError: No broker responds; nothing is left open then.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    failure: Exception | None = None
    for server in filter(None, map(str.strip, bootstrap_servers.split(","))):
        seconds = min(_REQUEST_TIMEOUT_SECONDS, _REQUEST_SHARE * (deadline - loop.time()))
        if seconds * 1000 < 1:  # the unit of aiokafka's time-outs
            break
        try:
            return KafkaPublisher(await _start_producer(server, seconds), bootstrap_servers, timeout_seconds)
        except _FOREIGN as exc:
            failure = exc
    raise _translated(failure, f"no Kafka broker responds at {bootstrap_servers}") from failure


async def _start_producer(server: str, request_timeout_seconds: float) -> AIOKafkaProducer:
    """Start a producer, or leave nothing open.

    A cancelled `AIOKafkaProducer.start` of aiokafka 0.14 loses the connection that it has open at that moment. So it
    runs in a task of its own, which is never cancelled: it ends when its requests time out.

    The producer waits for all in-sync replicas and is not idempotent: with idempotence, aiokafka's `send_and_wait` and
    `stop` never return once the broker is gone (aiokafka issue 1101). Consumers dedupe on the envelope's id instead.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=server,
        client_id=_CLIENT_ID,
        acks="all",
        enable_idempotence=False,
        linger_ms=0,
        request_timeout_ms=int(1000 * request_timeout_seconds),
    )
    loop = asyncio.get_running_loop()
    starting = loop.create_task(producer.start())
    try:
        await wait_until_done([starting])
        starting.result()
    except BaseException:
        retrieve_exception(starting)
        # A task too: a second cancellation must not leave the producer half-way open.
        await wait_until_done([loop.create_task(_stop(producer, server, request_timeout_seconds))])
        raise
    return producer


async def _stop(producer: AIOKafkaProducer, servers: str, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await producer.stop()
    except _FOREIGN as exc:
        _log.warning("closing the connection to the broker at %s failed: %s", servers, str(exc) or type(exc).__name__)


class KafkaPublisher:
    """Publishes through one producer; made by `open_publisher`.

    Args:
        producer: Started.
        bootstrap_servers: For messages.
        timeout_seconds: Bounds each `publish` and `close`.
    """

    def __init__(self, producer: AIOKafkaProducer, bootstrap_servers: str, timeout_seconds: float) -> None:
        self._producer = producer
        self._servers = bootstrap_servers
        self._timeout_seconds = timeout_seconds
        self._closing: asyncio.Task[None] | None = None

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Send one event and wait for the broker's acknowledgement.

        Raises:
            PublishError: It is not acknowledged; without `retry` where the broker will never accept this event. Where
                it has `retry`, the broker may have stored the event all the same.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                stored = await self._producer.send_and_wait(topic, value, key=key)
        except _FOREIGN as exc:
            raise _translated(exc, f"the broker at {self._servers} did not accept the event for {topic}") from exc
        return Delivery(stored.partition, stored.offset)

    async def close(self) -> None:
        """Wait for the requests under way, then disconnect; calling it twice or cancelling it is safe."""
        if self._closing is None:
            closing = _stop(self._producer, self._servers, self._timeout_seconds)
            self._closing = asyncio.get_running_loop().create_task(closing)
        await asyncio.shield(self._closing)


def _translated(exc: Exception | None, what: str) -> PublishError:
    recovery, retry = None, True
    # Only a fault of the event itself is final. Missing rights are not: once they are granted, the event is accepted.
    if isinstance(exc, errors.MessageSizeTooLargeError | errors.RecordListTooLargeError):
        recovery = "Raise the broker's message.max.bytes, then run `deployment-sender events flush`; or send less."
        retry = False
    elif isinstance(exc, errors.InvalidTopicError):
        retry = False
    elif isinstance(exc, errors.UnknownTopicOrPartitionError):
        recovery = "Create that topic on the broker, then publish again or run `deployment-sender events flush`."
    # The text of a KafkaConnectionError is a list of addresses; aiokafka logs the reason for each.
    reason = (
        "no connection" if isinstance(exc, errors.KafkaConnectionError) else str(exc or "") or "no response in time"
    )
    return PublishError(f"{what}: {reason}", recovery=recovery, retry=retry)

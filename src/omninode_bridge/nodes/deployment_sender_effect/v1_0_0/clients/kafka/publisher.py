"""The port `EventPublisher` on aiokafka."""

import asyncio
import logging
from traceback import walk_tb
from typing import TYPE_CHECKING

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import Delivery

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

__all__ = ["KafkaPublisher", "open_publisher"]

_log = logging.getLogger(__name__)

_REQUEST_TIMEOUT_SECONDS = 2.0
# Every KafkaError is a RuntimeError; the last two tell of addresses that cannot be read.
_FOREIGN = (RuntimeError, OSError, TimeoutError, ValueError, OverflowError)
_CLIENT_ID = "deployment-sender"


async def open_publisher(bootstrap_servers: str, timeout_seconds: float) -> "KafkaPublisher":
    """Connect to a broker.

    The producer waits for all in-sync replicas and is not idempotent: with idempotence, aiokafka's `send_and_wait` and
    `stop` never return once the broker is gone (aiokafka issue 1101). Consumers dedupe on the envelope's id instead.

    Args:
        bootstrap_servers: `host:port[,host:port]`.
        timeout_seconds: Bounds this call, each `publish` and `close`.

    Raises:
        DeploymentSenderError: KAFKA_PUBLISH_FAILED when no broker answers; nothing is left open then.
    """
    await asyncio.to_thread(_import_aiokafka)  # takes long enough to be felt on the loop
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415

    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id=_CLIENT_ID,
        acks="all",
        enable_idempotence=False,
        linger_ms=0,
        # A request that fails by itself tells more than one that is cut off: two fit into the deadline.
        request_timeout_ms=int(1000 * min(_REQUEST_TIMEOUT_SECONDS, 0.4 * timeout_seconds)),
    )
    publisher = KafkaPublisher(producer, bootstrap_servers, timeout_seconds)
    try:
        async with asyncio.timeout(timeout_seconds):
            try:
                await producer.start()
            except asyncio.CancelledError as exc:
                _close_bootstrap_connection(exc)
                raise
    except BaseException as exc:
        await publisher.close()
        if isinstance(exc, _FOREIGN):
            raise _translated(exc, f"the broker at {bootstrap_servers} does not answer") from exc
        raise
    return publisher


class KafkaPublisher:
    """Publishes through one producer; made by `open_publisher`.

    Args:
        producer: Started.
        bootstrap_servers: For messages.
        timeout_seconds: Bounds each `publish` and `close`.
    """

    def __init__(self, producer: "AIOKafkaProducer", bootstrap_servers: str, timeout_seconds: float) -> None:
        self._producer = producer
        self._servers = bootstrap_servers
        self._timeout_seconds = timeout_seconds
        self._closing: asyncio.Task[None] | None = None

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Send one event and wait for the broker's acknowledgement.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED; without `retry` where the broker will never take this event.
                Where it has `retry`, the broker may have stored the event all the same.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                stored = await self._producer.send_and_wait(topic, value, key=key)
        except _FOREIGN as exc:
            raise _translated(exc, f"the broker at {self._servers} did not take the event for {topic}") from exc
        return Delivery(stored.partition, stored.offset)

    async def close(self) -> None:
        """Let what is under way end, then leave the broker; twice is safe, and so is cancelling."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._stop())
        await asyncio.shield(self._closing)

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._producer.stop()
        except _FOREIGN as exc:
            _log.warning("leaving the broker at %s failed: %s", self._servers, str(exc) or type(exc).__name__)


def _import_aiokafka() -> None:
    import aiokafka  # noqa: F401, PLC0415


def _close_bootstrap_connection(exc: BaseException) -> None:
    """Close what `AIOKafkaClient.bootstrap` (0.14) leaves open, and out of reach, when it is cancelled half-way."""
    for frame, _ in walk_tb(exc.__traceback__):
        if (connection := frame.f_locals.get("bootstrap_conn")) is not None:
            connection.close()


def _translated(exc: Exception, what: str) -> DeploymentSenderError:
    from aiokafka import errors  # noqa: PLC0415

    recovery, retry = None, True
    # Only what the event itself is to blame for is hopeless. Missing rights are not: once they are granted, it is as
    # good as any other.
    if isinstance(exc, errors.MessageSizeTooLargeError | errors.RecordListTooLargeError):
        recovery = "Raise the broker's message.max.bytes, then run `deployment-sender events flush`; or send less."
        retry = False
    elif isinstance(exc, errors.InvalidTopicError):
        retry = False
    elif isinstance(exc, errors.UnknownTopicOrPartitionError):
        recovery = "Create that topic on the broker, then publish again or run `deployment-sender events flush`."
    # The text of a KafkaConnectionError is a list of addresses; aiokafka logs what was wrong with each.
    reason = "no connection" if isinstance(exc, errors.KafkaConnectionError) else str(exc) or "no answer in time"
    return DeploymentSenderError(ErrorCode.KAFKA_PUBLISH_FAILED, f"{what}: {reason}", recovery=recovery, retry=retry)

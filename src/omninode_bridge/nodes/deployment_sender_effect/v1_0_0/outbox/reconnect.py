"""The one connection to the broker: opened when first needed, left when it fails, opened anew."""

import asyncio
from collections.abc import Awaitable, Callable

from ..errors import DeploymentSenderError
from ..ports import Delivery, EventPublisher
from .envelope import Event

__all__ = ["OpenPublisher", "ReconnectingPublisher"]

OpenPublisher = Callable[[], Awaitable[EventPublisher]]


class ReconnectingPublisher:
    """Shares one publisher among all that deliver.

    Args:
        open_publisher: Connects to the broker.

    Attributes:
        failure: Why the last try to connect failed; None if it did not.
    """

    def __init__(self, open_publisher: OpenPublisher) -> None:
        self.failure: DeploymentSenderError | None = None
        self._open = open_publisher
        self._opening = asyncio.Lock()
        self._publisher: EventPublisher | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(self, event: Event) -> Delivery:
        """Send an event; where that fails in a way that another try may mend, the next one is over a new connection.

        Raises:
            DeploymentSenderError: KAFKA_PUBLISH_FAILED.
        """
        publisher = self._publisher or await self._connect()
        try:
            return await publisher.publish(event.topic, event.key.encode(), event.value)
        except BaseException as exc:
            if not isinstance(exc, DeploymentSenderError) or exc.retry:
                self._leave(publisher)
            raise

    async def close(self) -> None:
        """Leave the broker; twice is safe."""
        if self._publisher is not None:
            self._leave(self._publisher)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _connect(self) -> EventPublisher:
        failure_before = self.failure
        async with self._opening:
            if self._publisher is None:
                if self.failure is not None and self.failure is not failure_before:
                    raise self.failure  # whoever went before in this queue has just tried
                try:
                    self._publisher = await self._open()
                except DeploymentSenderError as error:
                    self.failure = error
                    raise
                self.failure = None
            return self._publisher

    def _leave(self, publisher: EventPublisher) -> None:
        """Close it in the background: others may have work under way in it, which its closing lets end."""
        if self._publisher is publisher:
            self._publisher = None
            closing = asyncio.get_running_loop().create_task(publisher.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

"""The one connection to the broker: opened when first needed, closed when it fails, opened again for the next event."""

import asyncio
from collections.abc import Awaitable, Callable

from ..errors import PublishError
from ..ports import Delivery, EventPublisher
from .envelope import Event

__all__ = ["OpenPublisher", "ReconnectingPublisher"]

OpenPublisher = Callable[[], Awaitable[EventPublisher]]


class ReconnectingPublisher:
    """Shares one publisher among all tasks that deliver.

    Args:
        open_publisher: Connects to the broker.

    Attributes:
        failure: The error of the last attempt to connect; None if it succeeded.
    """

    def __init__(self, open_publisher: OpenPublisher) -> None:
        self.failure: PublishError | None = None
        self._open = open_publisher
        self._opening = asyncio.Lock()
        self._publisher: EventPublisher | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(self, event: Event) -> Delivery:
        """Send an event; after an error with `retry`, the next event goes over a new connection.

        Raises:
            PublishError: The broker did not acknowledge it, or no connection could be made.
        """
        publisher = self._publisher or await self._connect()
        try:
            return await publisher.publish(event.topic, event.key.encode(), event.value)
        except BaseException as exc:
            if not isinstance(exc, PublishError) or exc.retry:
                self._disconnect(publisher)
            raise

    async def close(self) -> None:
        """Disconnect, and wait until that is done; calling it twice is safe."""
        if self._publisher is not None:
            self._disconnect(self._publisher)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _connect(self) -> EventPublisher:
        failure_before = self.failure
        async with self._opening:
            if self._publisher is None:
                if self.failure is not None and self.failure is not failure_before:
                    raise self.failure  # the task before this one in the queue has just tried
                try:
                    self._publisher = await self._open()
                except PublishError as error:
                    self.failure = error
                    raise
                self.failure = None
            return self._publisher

    def _disconnect(self, publisher: EventPublisher) -> None:
        """Close a publisher in the background: other tasks may have requests under way, which its closing waits for."""
        if self._publisher is publisher:
            self._publisher = None
            closing = asyncio.get_running_loop().create_task(publisher.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

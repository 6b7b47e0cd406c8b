"""What is asked of a broker of events."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Delivery", "EventPublisher"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the broker stored an event; both numbers are the broker's own."""

    partition: int
    offset: int


class EventPublisher(Protocol):
    """A Kafka broker. KAFKA_PUBLISH_FAILED, always within the deadline it was made with."""

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Send one event and wait for the broker's acknowledgement."""
        ...

    async def close(self) -> None:
        """Leave the broker within a bounded time; twice is safe."""
        ...

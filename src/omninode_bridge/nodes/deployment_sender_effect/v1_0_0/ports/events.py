"""The port to a broker of events."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Delivery", "EventPublisher"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the broker stored an event; both numbers are the broker's own."""

    partition: int
    offset: int


class EventPublisher(Protocol):
    """A connection to a Kafka broker.

    Its methods raise `PublishError` and nothing else, and always return within the deadline that the connection was
    opened with. tests/conformance/test_publisher.py has the rules, which every implementation passes.
    """

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Send one event and wait for the broker's acknowledgement.

        Raises:
            PublishError: It is not acknowledged, though it may be stored; without `retry` if the broker will never
                accept this event.
        """
        ...

    async def close(self) -> None:
        """Disconnect within a bounded time; calling it twice is safe."""
        ...

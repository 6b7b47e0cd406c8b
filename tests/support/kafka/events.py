"""Events for tests of the outbox and of their delivery."""

from itertools import count
from uuid import UUID

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.envelope import Event

_numbers = count(1)


def an_event(key: str = "package", value: bytes = b"{}", topic: str = "topic") -> Event:
    """Return an event with an id of its own."""
    return Event(str(UUID(int=next(_numbers))), "BUILD_STARTED", topic, key, value)

"""What the outbox tells of its events."""

from dataclasses import dataclass
from enum import StrEnum

from ..ports import Delivery
from .envelope import Event

__all__ = ["Accepted", "EventState", "Look", "OutboxEntry", "StoredEvent"]


class EventState(StrEnum):
    """Where an event is: to be delivered, acknowledged by the broker, or set aside as undeliverable."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is not sent yet.

    Attributes:
        seq: Its place in the order of acceptance.
        last_error: Why the last attempt failed.
    """

    seq: int
    event: Event
    state: EventState
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event was written.

    Attributes:
        owned: This process may deliver.
        alone: Every other event is sent.
    """

    stored: StoredEvent
    owned: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What has become of an event.

    Attributes:
        owned: This process may deliver.
        entry: None if there is no such event any more.
    """

    owned: bool
    entry: "OutboxEntry | None"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An event as it is listed; times are ISO 8601, UTC; partition and offset are the broker's own."""

    event_id: str
    event_type: str
    topic: str
    key: str
    accepted_at: str
    state: EventState
    attempts: int
    last_error: str | None
    partition: int | None
    offset: int | None
    sent_at: str | None

    @property
    def delivery(self) -> Delivery | None:
        """Where the broker stored it."""
        return None if self.partition is None or self.offset is None else Delivery(self.partition, self.offset)

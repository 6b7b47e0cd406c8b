"""What the outbox tells of its events, and how that is read out of its rows: whole, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..ports import Delivery
from .envelope import Event

__all__ = [
    "Accepted",
    "EventState",
    "Look",
    "OutboxDamagedError",
    "OutboxEntry",
    "StoredEvent",
    "entry_of",
    "stored_of",
    "text_of",
]


class OutboxDamagedError(Exception):
    """The file holds what no outbox does; the text says what is wrong with it."""


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


def entry_of(row: Sequence[Any]) -> OutboxEntry:
    """Read a row: the fields of `OutboxEntry` in order.

    Raises:
        OutboxDamagedError: It is not whole.
    """
    event_id, event_type, topic, key, accepted_at, state, attempts, last_error, partition, offset, sent_at = row
    _must_be(str, event_id, event_type, topic, key)
    _must_be(int, attempts)
    _must_be(str | None, last_error)
    _must_be(int | None, partition, offset)
    for time in (accepted_at, *(() if sent_at is None else (sent_at,))):
        _must_be_time(time)
    state = _state(state)
    return OutboxEntry(
        *(event_id, event_type, topic, key, accepted_at, state, attempts, last_error, partition, offset, sent_at)
    )


def stored_of(row: Sequence[Any]) -> StoredEvent:
    """Read a row: the sequence number, the state, the last error, and the fields of `Event`.

    Raises:
        OutboxDamagedError: It is not whole.
    """
    seq, state, last_error, event_id, event_type, topic, key, value = row
    _must_be(str, event_id, event_type, topic, key)
    _must_be(bytes, value)
    _must_be(str | None, last_error)
    return StoredEvent(seq, Event(event_id, event_type, topic, key, value), _state(state), last_error)


def text_of(raw: bytes) -> str:
    """Decode a text, as SQLite keeps it.

    Raises:
        OutboxDamagedError: It is none.
    """
    try:
        return raw.decode()
    except (AttributeError, UnicodeDecodeError) as exc:
        raise OutboxDamagedError("it holds an event that cannot be read") from exc


def _must_be(kind: Any, *values: object) -> None:
    if not all(isinstance(value, kind) for value in values):
        raise OutboxDamagedError("it holds an event that cannot be read")


def _must_be_time(text: object) -> None:
    try:
        datetime.fromisoformat(str(text))
    except ValueError as exc:
        raise OutboxDamagedError("it holds an event that cannot be read") from exc


def _state(text: object) -> EventState:
    try:
        return EventState(str(text))
    except ValueError as exc:
        raise OutboxDamagedError("it holds an event in a state that there is not") from exc

"""Records of the outbox, and how they are read from its rows: completely, or not at all."""

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
    "EventStatus",
    "OutboxDamagedError",
    "OutboxEntry",
    "StoredEvent",
    "decode_text",
    "read_entry",
    "read_stored",
]


class OutboxDamagedError(Exception):
    """The file contains something that no outbox contains; the message says what."""


class EventState(StrEnum):
    """The state of an event: to be delivered, acknowledged by the broker, or refused by it for good."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is not sent yet.

    Attributes:
        seq: Its place in the order of acceptance.
        event: What to send.
        state: Waiting or failed.
        last_error: Why the last attempt failed.
    """

    seq: int
    event: Event
    state: EventState
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of writing an event.

    Attributes:
        stored: The event.
        has_lock: This process has the delivery lock.
        alone: Every other event is sent.
    """

    stored: StoredEvent
    has_lock: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class EventStatus:
    """The present state of an event.

    Attributes:
        has_lock: This process has the delivery lock.
        entry: None if the event was dropped.
    """

    has_lock: bool
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


def read_entry(row: Sequence[Any]) -> OutboxEntry:
    """Read a row that has the fields of `OutboxEntry` in order.

    Raises:
        OutboxDamagedError: A value is missing or of another type.
    """
    event_id, event_type, topic, key, accepted_at, state, attempts, last_error, partition, offset, sent_at = row
    _check_type(str, event_id, event_type, topic, key)
    _check_type(int, attempts)
    _check_type(str | None, last_error)
    _check_type(int | None, partition, offset)
    for time in (accepted_at, *(() if sent_at is None else (sent_at,))):
        _check_time(time)
    state = _read_state(state)
    return OutboxEntry(
        *(event_id, event_type, topic, key, accepted_at, state, attempts, last_error, partition, offset, sent_at)
    )


def read_stored(row: Sequence[Any]) -> StoredEvent:
    """Read a row that has the sequence number, the state, the last error, and the fields of `Event`.

    Raises:
        OutboxDamagedError: A value is missing or of another type.
    """
    seq, state, last_error, event_id, event_type, topic, key, value = row
    _check_type(str, event_id, event_type, topic, key)
    _check_type(bytes, value)
    _check_type(str | None, last_error)
    return StoredEvent(seq, Event(event_id, event_type, topic, key, value), _read_state(state), last_error)


def decode_text(raw: bytes) -> str:
    """Decode a text as SQLite stores it.

    Raises:
        OutboxDamagedError: It is not UTF-8.
    """
    try:
        return raw.decode()
    except (AttributeError, UnicodeDecodeError) as exc:
        raise OutboxDamagedError("it contains an event that cannot be read") from exc


def _check_type(kind: Any, *values: object) -> None:
    if not all(isinstance(value, kind) for value in values):
        raise OutboxDamagedError("it contains an event that cannot be read")


def _check_time(text: object) -> None:
    try:
        datetime.fromisoformat(str(text))
    except ValueError as exc:
        raise OutboxDamagedError("it contains an event that cannot be read") from exc


def _read_state(text: object) -> EventState:
    try:
        return EventState(str(text))
    except ValueError as exc:
        raise OutboxDamagedError("it contains an event in an unknown state") from exc

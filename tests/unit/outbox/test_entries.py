"""Rows of the outbox are read completely, or not at all."""

from dataclasses import astuple
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import (
    EventState,
    OutboxDamagedError,
    OutboxEntry,
    StoredEvent,
    decode_text,
    read_entry,
    read_stored,
)
from support.kafka.events import an_event

ENTRY = (
    "id",
    "BUILD_STARTED",
    "topic",
    "key",
    "2026-01-01T00:00:00+00:00",
    "sent",
    1,
    None,
    0,
    7,
    "2026-01-01T00:00:01Z",
)
STORED = (7, "waiting", None, "id", "BUILD_STARTED", "topic", "key", b"{}")


def test_a_whole_row_is_an_entry() -> None:
    """Field by field."""
    assert OutboxEntry(*ENTRY[:5], EventState.SENT, *ENTRY[6:]) == read_entry(ENTRY)


def test_a_whole_row_is_a_stored_event() -> None:
    """With the event as it was accepted."""
    event = an_event()

    assert StoredEvent(7, event, EventState.FAILED, "why") == read_stored((7, "failed", "why", *astuple(event)))


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, None), (1, b"x"), (3, 1), (4, ""), (5, ""), (5, None), (6, None), (7, 1), (8, "x"), (9, 1.5), (10, "x")],
)
def test_a_damaged_row_is_no_entry(place: int, value: Any) -> None:
    """Whichever field is wrong."""
    row = [*ENTRY[:place], value, *ENTRY[place + 1 :]]

    with pytest.raises(OutboxDamagedError, match="it contains an event"):
        read_entry(row)


@pytest.mark.parametrize(("place", "value"), [(1, ""), (2, b"x"), (3, None), (6, 1), (7, None), (7, "{}")])
def test_a_damaged_row_is_no_stored_event(place: int, value: Any) -> None:
    """Whichever field is wrong."""
    row = [*STORED[:place], value, *STORED[place + 1 :]]

    with pytest.raises(OutboxDamagedError, match="it contains an event"):
        read_stored(row)


def test_text_that_is_not_utf_8_is_damage() -> None:
    """SQLite stores any bytes as text."""
    assert "\u00e9" == decode_text("\u00e9".encode())
    with pytest.raises(OutboxDamagedError, match="it contains an event that cannot be read"):
        decode_text(b"\xff")

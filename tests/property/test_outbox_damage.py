"""However an outbox is cut or overwritten, it works again, and has no event that was not accepted."""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.entries import OutboxDamagedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.journal import OutboxJournal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.rescue import is_damage
from support.kafka.events import an_event

EVENTS = [an_event(f"key-{number}", b'{"x": "%s"}' % (b"x" * (6000 if number == 4 else 300))) for number in range(40)]


def _whole() -> bytes:
    """Return the file of an outbox with these events."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.sqlite3"
        outbox = OutboxJournal(path)
        for event in EVENTS:
            outbox.accept(event)
        outbox.close()
        return path.read_bytes()


WHOLE = _whole()


def found(outbox: OutboxJournal) -> list[bool]:
    """Return for each event to be delivered whether it is one that was accepted."""
    outbox.entries(1000)
    outbox.counts()
    heads = [outbox.next_unsent(key) for key in outbox.waiting_keys()]
    return [stored.event in EVENTS for stored in heads if stored is not None]


def fault(outbox: OutboxJournal, *, may_be_missed: bool) -> Exception | None:
    """Use an outbox; return its error, if one is detected."""
    try:
        assert all(found(outbox)) or may_be_missed
    except (sqlite3.Error, OutboxDamagedError) as exc:
        return exc
    return None


def damaged(content: bytes, *, may_be_missed: bool) -> None:
    """Use an outbox with this content."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.sqlite3"
        path.write_bytes(content)
        outbox = OutboxJournal(path)
        error = fault(outbox, may_be_missed=may_be_missed)
        if error is not None:
            assert is_damage(error)
            rescue = outbox.keep_aside()
            assert rescue.aside is not None
            assert content == rescue.aside.read_bytes()
            assert [True] * rescue.events == found(outbox)
        outbox.accept(an_event("new"))
        assert outbox.next_unsent("new") is not None
        outbox.close()


@given(st.integers(0, len(WHOLE) - 1))
@settings(max_examples=60)
def test_an_outbox_cut_anywhere_works_again(size: int) -> None:
    """The damage is always detected."""
    damaged(WHOLE[:size], may_be_missed=False)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 6000), st.sampled_from([b"\0", b"\xff"]))
@settings(max_examples=60)
def test_an_outbox_overwritten_anywhere_works_again(start: int, length: int, byte: bytes) -> None:
    """Damage inside of a value cannot be detected, unless something else was hit too."""
    content = WHOLE[:start] + byte * length + WHOLE[start + length :]
    damaged(content[: len(WHOLE)], may_be_missed=True)

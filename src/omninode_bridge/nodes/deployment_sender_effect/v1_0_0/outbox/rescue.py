"""Keeps a damaged outbox aside, and begins a new one with the events of it that can still be read."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .entries import EventState, OutboxDamagedError, entry_of, text_of
from .schema import COLUMNS, beside, identity, locked_folder, make_outbox, move_aside

__all__ = ["Rescue", "is_damage", "keep_aside"]

# Where the header has the size of a page, with 1 for 65,536, and how many there are: sqlite.org/fileformat2.html.
_PAGE_SIZE, _PAGES = slice(16, 18), slice(28, 32)
_HEADER_BYTES = 100
_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rescue:
    """What became of a damaged outbox.

    Attributes:
        aside: Where it is now; None if another process has kept it aside.
        events: How many of its events are in the new one.
    """

    aside: Path | None
    events: int


def is_damage(error: Exception) -> bool:
    """Tell whether an error is for what is in the file, and not for its disk or its locks."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, OutboxDamagedError) or primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def keep_aside(path: Path, damaged: tuple[int, int] | None, busy_seconds: float) -> Rescue:
    """Give a damaged outbox another name, with what is beside it, and make a new one in its place.

    Where a new one cannot be made, the damaged one has its name again.

    Args:
        path: The outbox.
        damaged: The `identity` of the file that is damaged: another process may have replaced it by now.
        busy_seconds: How long another process may keep the folder locked.

    Raises:
        sqlite3.Error: The disk refuses.
        OSError: The disk refuses, or the folder stays locked.
    """
    with locked_folder(path.parent, busy_seconds):
        if damaged is None or damaged != identity(path):
            return Rescue(None, 0)
        aside, moved = move_aside(path)
        try:
            rows = _readable(aside)
            make_outbox(path, rows)
        except BaseException:
            for old, new in moved.items():
                new.rename(old)
            raise
    return Rescue(aside, len(rows))


def _readable(aside: Path) -> list[_Row]:
    """Read whatever events are whole, on a copy: SQLite changes what it opens."""
    with TemporaryDirectory(prefix=".outbox-", dir=aside.parent) as folder:
        copy = Path(folder) / "copy"
        shutil.copyfile(aside, copy)
        if beside(aside, "-wal").exists():
            shutil.copyfile(beside(aside, "-wal"), beside(copy, "-wal"))
        _lengthen(copy)
        rows: dict[int, _Row] = {}
        for order in ("ASC", "DESC"):  # from both sides towards a page that cannot be read
            with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as db:
                db.text_factory = bytes  # a text that is no UTF-8 ends no reading
                for row in db.execute(f"SELECT {COLUMNS} FROM events ORDER BY seq {order}"):  # noqa: S608
                    with suppress(OutboxDamagedError, ValueError):
                        rows.setdefault(row[0], _whole(row))
    return [rows[seq] for seq in sorted(rows)]


def _lengthen(copy: Path) -> None:
    """Fill up a file whose end is missing: SQLite opens none that is shorter than its header says."""
    with copy.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        page_bytes = int.from_bytes(header[_PAGE_SIZE])
        wanted = (65_536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[_PAGES])
        if copy.stat().st_size < wanted < 2 * copy.stat().st_size + (1 << 20):  # else the header is damaged, too
            file.truncate(wanted)


def _whole(row: Sequence[Any]) -> _Row:
    """Return a row as it goes into a new outbox.

    Raises:
        OutboxDamagedError: It is not whole.
        ValueError: Likewise.
    """
    seq, event_id, event_type, topic, key, value, accepted_at, state, attempts, last_error, *rest, sent_at = row
    texts = [text_of(text) for text in (event_id, event_type, topic, key)]
    if any("\0" in text for text in texts):
        raise OutboxDamagedError("it holds an event that is overwritten in part")
    later = [None if text is None else text_of(text) for text in (last_error, sent_at)]
    entry = entry_of((*texts, text_of(accepted_at), text_of(state), attempts, later[0], *rest, later[1]))
    if entry.state is EventState.SENT:
        value = None
    else:
        json.loads(value if isinstance(value, bytes) else b"")  # every event's value is JSON: see envelope.py
    return (seq, *texts, value, entry.accepted_at, entry.state.value, attempts, later[0], *rest, later[1])

"""Renames a damaged outbox, and makes a new one with the events that can still be read."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .entries import EventState, OutboxDamagedError, decode_text, read_entry
from .schema import SELECT_ROWS, beside, identity, locked_folder, make_outbox, move_aside

__all__ = ["Rescue", "is_damage", "keep_aside"]

# Of the header: the size of a page (1 stands for 65,536), and the number of pages: sqlite.org/fileformat2.html.
_PAGE_SIZE, _PAGES = slice(16, 18), slice(28, 32)
_HEADER_BYTES = 100
_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rescue:
    """The result of a rescue.

    Attributes:
        aside: The new name of the damaged outbox; None if another process has renamed it.
        events: How many of its events are in the new outbox.
    """

    aside: Path | None
    events: int


def is_damage(error: Exception) -> bool:
    """Whether an error is about the contents of the file, and not about its disk or its locks."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, OutboxDamagedError) or primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def keep_aside(path: Path, damaged: tuple[int, int] | None, busy_seconds: float) -> Rescue:
    """Rename a damaged outbox and the files beside it, and make a new one in its place.

    If a new one cannot be made, the damaged one gets its old name again.

    Args:
        path: The outbox.
        damaged: The `identity` of the damaged file: another process may have replaced it by now.
        busy_seconds: How long another process may keep the folder locked.

    Raises:
        sqlite3.Error: The new one cannot be written.
        OSError: The new one cannot be written, or the folder stays locked.
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
    """Read all events that are whole, from a copy: SQLite changes the files that it opens."""
    with TemporaryDirectory(prefix=".outbox-", dir=aside.parent) as folder:
        copy = Path(folder) / "copy"
        shutil.copyfile(aside, copy)
        if beside(aside, "-wal").exists():
            shutil.copyfile(beside(aside, "-wal"), beside(copy, "-wal"))
        _lengthen(copy)
        rows: dict[int, _Row] = {}
        for order in (" ORDER BY seq ASC", " ORDER BY seq DESC"):  # from both ends, up to a page that cannot be read
            with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as db:
                db.text_factory = bytes  # so that a text which is not UTF-8 does not end the reading
                for row in db.execute(SELECT_ROWS + order):
                    with suppress(OutboxDamagedError, ValueError):
                        rows.setdefault(row[0], _checked(row))
    return [rows[seq] for seq in sorted(rows)]


def _lengthen(copy: Path) -> None:
    """Fill up a file whose end is missing: SQLite refuses one that is shorter than its header says."""
    with copy.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        page_bytes = int.from_bytes(header[_PAGE_SIZE])
        wanted = (65_536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[_PAGES])
        if copy.stat().st_size < wanted < 2 * copy.stat().st_size + (1 << 20):  # 1 MiB; else the header is damaged too
            file.truncate(wanted)


def _checked(row: Sequence[Any]) -> _Row:
    """Return a row for the new outbox.

    Raises:
        OutboxDamagedError: It is not whole.
        ValueError: Its value is not JSON.
    """
    seq, event_id, event_type, topic, key, value, accepted_at, state, attempts, last_error, *place, sent_at = row
    texts = [decode_text(text) for text in (event_id, event_type, topic, key)]
    if any("\0" in text for text in texts):
        raise OutboxDamagedError("it contains an event that is overwritten in part")
    later = [None if text is None else decode_text(text) for text in (last_error, sent_at)]
    entry = read_entry((*texts, decode_text(accepted_at), decode_text(state), attempts, later[0], *place, later[1]))
    if entry.state is EventState.SENT:
        value = None
    else:
        json.loads(value if isinstance(value, bytes) else b"")  # every event's value is JSON: see envelope.py
    return (seq, *texts, value, entry.accepted_at, entry.state.value, attempts, later[0], *place, later[1])

"""The processes that are alive, from proc(5); a zombie is not one of them."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["children", "until_group_ends", "until_stopped"]

from support.eventually import eventually_sync


def children(name: str) -> list[int]:
    """Find the programs of a name that this process has started."""
    return [pid for pid, command, parent, _ in _living() if (command, parent) == (name, os.getpid())]


def until_group_ends(group: int) -> None:
    """Wait until no member of a process group lives."""
    eventually_sync(lambda: all(member != group for _, _, _, member in _living()))


def until_stopped(pid: int) -> None:
    """Wait until SIGSTOP has reached every thread of a process: on a busy machine one may still run for a while."""
    tasks = Path(f"/proc/{pid}/task")
    eventually_sync(lambda: all("\nState:\tT" in status.read_text() for status in tasks.glob("*/status")))


def _living() -> Iterator[tuple[int, str, int, int]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        state, parent, group = rest.split()[:3]
        if state != "Z":
            yield int(stat.parent.name), head.partition("(")[2], int(parent), int(group)

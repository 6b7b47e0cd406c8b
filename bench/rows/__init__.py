"""The subjects, by name, in the order of the tables."""

from collections.abc import Callable

from bench.report import Table
from bench.rows import dispatch, events, five, imports, memory, package, receiver, small, tick, transfer
from bench.session import Session

__all__ = ["ROWS"]

ROWS: dict[str, Callable[[Session], Table]] = {
    "package": package.measure,
    "transfer": transfer.measure,
    "five": five.measure,
    "receiver": receiver.measure,
    "memory": memory.measure,
    "tick": tick.measure,
    "events": events.measure,
    "dispatch": dispatch.measure,
    "import": imports.measure,
    "small": small.measure,
}

"""A live bar for a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from ..ports import Progress as Advance
from ..ports import ProgressCallback
from ..telemetry.metrics import Span
from .units import rate, size

__all__ = ["bar"]

_STAGES = {
    "build": "building",
    "export": "exporting",
    "upload": "uploading",
    "check": "checking",
    "retry": "waiting",
    "deploy": "deploying",
}
_REFRESHES_PER_SECOND = 8


@contextmanager
def bar(terminal: TextIO, doing: str) -> Iterator[ProgressCallback]:
    """Draw one bar until the end of the block; nothing of it stays on the terminal.

    Args:
        terminal: Where to draw.
        doing: What to call it until it is told its first stage.

    Yields:
        What wants to be told of each step forward.
    """
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        console=Console(file=terminal),
        transient=True,
        expand=True,
        refresh_per_second=_REFRESHES_PER_SECOND,
    ) as progress:
        yield _Bar(progress, progress.add_task(doing, total=None, detail="")).tell


class _Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._stage = ""
        self._from_bytes = self._done_bytes = 0
        self._span = Span()

    def tell(self, advance: Advance) -> None:
        if advance.stage != self._stage or advance.done_bytes < self._done_bytes:  # the next stage, or a retry
            self._stage, self._span, self._from_bytes = advance.stage, Span(), advance.done_bytes
        self._done_bytes = advance.done_bytes
        self._progress.update(
            self._task,
            description=self._doing(advance),
            completed=advance.done_bytes,
            # A full bar would stand still, while the receiver goes on verifying and loading.
            total=None if advance.total_bytes is None else advance.total_bytes + 1,
            detail=self._detail(advance),
        )

    def _doing(self, advance: Advance) -> str:
        arrived = advance.total_bytes is not None and advance.done_bytes >= advance.total_bytes
        return "waiting for the receiver" if arrived else _STAGES.get(advance.stage, advance.stage)

    def _detail(self, advance: Advance) -> str:
        if advance.line is not None:
            return "".join(c for c in advance.line if c.isprintable())
        return f"{size(advance.done_bytes)}  {rate(advance.done_bytes - self._from_bytes, self._span.elapsed_ms)}"

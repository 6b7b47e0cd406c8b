"""A progress bar for a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Display
from rich.table import Column

from ..ports import Progress, ProgressCallback
from ..telemetry.metrics import Span
from .units import rate, size

__all__ = ["progress_bar"]

_STAGES = {
    "build": "building",
    "export": "exporting",
    "upload": "uploading",
    "check": "checking",
    "retry": "waiting",
    "deploy": "deploying",
}
_REFRESHES_PER_SECOND = 8
_BAR_WIDTH = 24  # in characters; the rest of the line is for the detail


@contextmanager
def progress_bar(terminal: TextIO, doing: str) -> Iterator[ProgressCallback]:
    """Draw one progress bar until the end of the block, and then remove it.

    Args:
        terminal: Where to draw.
        doing: Its title before the first stage.

    Yields:
        The function to call with each progress.
    """
    with Display(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_WIDTH),
        TimeElapsedColumn(),
        TextColumn("{task.fields[detail]}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        console=Console(file=terminal),
        transient=True,
        expand=True,
        refresh_per_second=_REFRESHES_PER_SECOND,
    ) as display:
        yield _ProgressBar(display, display.add_task(doing, total=None, detail="")).update


class _ProgressBar:
    def __init__(self, display: Display, task: TaskID) -> None:
        self._display = display
        self._task = task
        self._stage = ""
        self._from_bytes = self._done_bytes = 0
        self._span = Span()

    def update(self, progress: Progress) -> None:
        if progress.stage != self._stage or progress.done_bytes < self._done_bytes:  # the next stage, or a retry
            self._stage, self._span, self._from_bytes = progress.stage, Span(), progress.done_bytes
        self._done_bytes = progress.done_bytes
        self._display.update(
            self._task,
            description=_description(progress),
            completed=progress.done_bytes,
            # A full bar would not move, while the receiver still verifies and loads.
            total=None if progress.total_bytes is None else progress.total_bytes + 1,
            detail=self._detail(progress),
        )

    def _detail(self, progress: Progress) -> str:
        if progress.line is not None:
            return "".join(c for c in progress.line if c.isprintable())
        return f"{size(progress.done_bytes)}  {rate(progress.done_bytes - self._from_bytes, self._span.elapsed_ms)}"


def _description(progress: Progress) -> str:
    all_sent = progress.total_bytes is not None and progress.done_bytes >= progress.total_bytes
    return "waiting for the receiver" if all_sent else _STAGES.get(progress.stage, progress.stage)

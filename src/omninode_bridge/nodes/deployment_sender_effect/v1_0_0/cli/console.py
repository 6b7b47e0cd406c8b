"""The one place that prints: results to stdout, progress and errors to stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Self, TextIO

from ..models import OutputModel
from ..ports import Progress, ProgressCallback
from ..telemetry.metrics import Span
from .units import duration

__all__ = ["Console", "Step", "facts", "table"]

_TOLD_STAGES = {"retry", "deploy"}  # a few lines, each of which says what is waited for
_FACT_WIDTH = 10  # so that groups of facts that follow each other line up


def facts(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lay out names and what there is to say about each, one line for each."""
    width = max(_FACT_WIDTH, *(len(name) for name, _ in rows))
    return [f"{name:<{width}}  {value}" for name, value in rows]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows in columns under their heads."""
    lines = [heads, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]


@dataclass(slots=True)
class Step:
    """Something that goes on.

    Attributes:
        on_progress: Wants to be told of each step forward.
        done: What to say at the end, such as `packaged hello:1.0`; nothing is said without it.
    """

    on_progress: ProgressCallback
    done: str | None = None


class Console:
    """Prints for one command.

    Args:
        as_json: stdout gets one JSON document and nothing else.
        quiet: No progress and no notes.
        verbose: Log lines too, and no bars among them.
        stdout: Where results go.
        stderr: Where the rest goes; bars are drawn if it is a terminal.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.verbose = verbose
        self._as_json = as_json
        self._quiet = quiet
        self._step_lines = True
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._bar = _bar() if self._stderr.isatty() and not quiet and not verbose else None

    def without_step_lines(self) -> Self:
        """Answer one that draws bars, but leaves saying what begins and ends to others."""
        other = copy(self)
        other._step_lines = False  # noqa: SLF001 - its own class
        return other

    def document(self, document: object) -> None:
        """Print a result for programs; nothing for people."""
        if self._as_json:
            _print(self._stdout, json.dumps(document, indent=2))

    def say(self, *lines: str) -> None:
        """Print lines of a result for people; nothing for programs."""
        if not self._as_json:
            for line in lines:
                _print(self._stdout, line)

    def answer(self, document: object, lines: Sequence[str]) -> None:
        """Print a result for whoever asked."""
        self.document(document)
        self.say(*lines)

    def note(self, line: str) -> None:
        """Say something beside the result."""
        if not self._quiet:
            _print(self._stderr, line)

    def tell(self, *lines: str) -> None:
        """Say on stderr what must not be lost, also where nothing but errors was asked for."""
        for line in lines:
            _print(self._stderr, line)

    def error(self, message: str, recovery: str | None = None, code: str | None = None) -> None:
        """Say what failed and what to do about it."""
        _print(self._stderr, f"error: {code}: {message}" if code else f"error: {message}")
        if recovery:
            _print(self._stderr, f"what to do: {recovery}")

    def failure(self, output: OutputModel) -> None:
        """Say what an output tells of its failure."""
        self.error(output.error_message or "no reason was told", output.recovery, output.error_code)

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Show that something goes on: with a bar on a terminal, with a line elsewhere.

        Args:
            doing: Such as `packaging hello:1.0`.
        """
        span = Span()
        if self._bar is not None:
            with self._bar(self._stderr, doing) as on_progress:
                step = Step(on_progress)
                yield step
        else:
            if self._step_lines:
                self.note(f"{doing} ...")
            step = Step(self._log_line)
            yield step
        if step.done and self._step_lines:
            self.note(f"{step.done} in {duration(span.elapsed_ms)}")

    def _log_line(self, progress: Progress) -> None:
        wanted = self._step_lines if progress.stage in _TOLD_STAGES else False
        if progress.line and (self.verbose or wanted):
            self.note(f"  {progress.line}")


def _bar() -> Callable[[TextIO, str], AbstractContextManager[ProgressCallback]]:
    from .progress_bar import bar  # noqa: PLC0415 - rich takes 0.2 s to load, which only a terminal is worth

    return bar


def _print(stream: TextIO, text: str) -> None:
    # A build log or a receiver's answer may hold escape sequences, which a terminal would obey.
    stream.write("".join(c if c.isprintable() or c in "\n\t" else "?" for c in text) + "\n")
    stream.flush()

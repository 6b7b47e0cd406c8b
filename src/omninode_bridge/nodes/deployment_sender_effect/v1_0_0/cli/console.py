"""The only module that prints: results to stdout, progress and errors to stderr."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import TextIO

from ..models import OutputModel
from ..ports import Progress, ProgressCallback
from ..telemetry.metrics import Span
from .units import duration

__all__ = ["Console", "Step", "facts", "table"]

_SHOWN_STAGES = {"retry", "deploy"}  # their lines are few, and each says what the transfer waits for
_FACT_WIDTH = 10  # of a name, so that the values of several groups of facts start in one column


def facts(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lay out names and values, one line for each pair."""
    width = max(_FACT_WIDTH, *(len(name) for name, _ in rows))
    return [f"{name:<{width}}  {value}" for name, value in rows]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows in columns under their heads."""
    lines = [heads, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in lines]


@dataclass(slots=True)
class Step:
    """A piece of work under way.

    Attributes:
        on_progress: Call it with each progress.
        done: What to print at the end, such as `packaged hello:1.0`; nothing is printed if it is None.
    """

    on_progress: ProgressCallback
    done: str | None = None


class Console:
    """Prints for one command.

    Args:
        as_json: stdout gets one JSON document and nothing else.
        quiet: No progress and no notes.
        verbose: Log lines too, and no progress bars between them.
        stdout: Where results go.
        stderr: Where the rest goes; progress bars are drawn if it is a terminal.

    Attributes:
        step_lines: Print a line when a step begins and when it ends.
        verbose: As given.
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
        self.step_lines = True
        self.verbose = verbose
        self._as_json = as_json
        self._quiet = quiet
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._bar = _progress_bar() if self._stderr.isatty() and not quiet and not verbose else None

    def without_step_lines(self) -> "Console":
        """Return a console that draws progress bars, and prints no line when a step begins or ends."""
        other = copy(self)
        other.step_lines = False
        return other

    def document(self, document: object) -> None:
        """Print a result as JSON, if that is wanted."""
        if self._as_json:
            _print(self._stdout, json.dumps(document, indent=2))

    def print_lines(self, *lines: str) -> None:
        """Print lines of a result for people, if JSON is not wanted."""
        if not self._as_json:
            for line in lines:
                _print(self._stdout, line)

    def result(self, document: object, lines: Sequence[str]) -> None:
        """Print a result: the document if JSON is wanted, the lines otherwise."""
        self.document(document)
        self.print_lines(*lines)

    def note(self, line: str) -> None:
        """Print a remark to stderr, unless the command is quiet."""
        if not self._quiet:
            _print(self._stderr, line)

    def print_to_stderr(self, *lines: str) -> None:
        """Print lines to stderr, also if the command is quiet: they must not be lost."""
        for line in lines:
            _print(self._stderr, line)

    def error(self, message: str, recovery: str | None = None, code: str | None = None) -> None:
        """Print what failed and what to do about it."""
        _print(self._stderr, f"error: {code}: {message}" if code else f"error: {message}")
        if recovery:
            _print(self._stderr, f"what to do: {recovery}")

    def failure(self, output: OutputModel) -> None:
        """Print the error of an output that has failed."""
        self.error(output.error_message or "the reason is not known", output.recovery, output.error_code)

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Show that work is under way: with a progress bar on a terminal, with a line elsewhere.

        Args:
            doing: Such as `packaging hello:1.0`.
        """
        span = Span()
        if self._bar is not None:
            with self._bar(self._stderr, doing) as on_progress:
                step = Step(on_progress)
                yield step
        else:
            if self.step_lines:
                self.note(f"{doing} ...")
            step = Step(self._log_line)
            yield step
        if step.done and self.step_lines:
            self.note(f"{step.done} in {duration(span.elapsed_ms)}")

    def _log_line(self, progress: Progress) -> None:
        wanted = self.step_lines if progress.stage in _SHOWN_STAGES else False
        if progress.line and (self.verbose or wanted):
            self.note(f"  {progress.line}")


def _progress_bar() -> Callable[[TextIO, str], AbstractContextManager[ProgressCallback]]:
    from .progress_bar import progress_bar  # noqa: PLC0415 - rich takes 0.2 s to load, which only a terminal needs

    return progress_bar


def _print(stream: TextIO, text: str) -> None:
    # A build log or a receiver's response may contain escape sequences, which a terminal would execute.
    stream.write("".join(c if c.isprintable() or c in "\n\t" else "?" for c in text) + "\n")
    stream.flush()

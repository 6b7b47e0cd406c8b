"""How far a step is."""

from collections.abc import Callable
from dataclasses import dataclass

from .target import Receipt

__all__ = ["Progress", "ProgressCallback"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward, told to a progress callback on the event loop's thread.

    Attributes:
        stage: `build` (a line of the engine's log), `export` (bytes of the image read from the engine), `upload` (bytes
            of the package sent in this attempt), `retry` (what went wrong and when it is tried again) or `deploy` (what
            the receiver does with the package that it has).
        line: The log line, scrubbed of build-argument values, or what a person is told of `retry` and `deploy`; None
            for the other stages.
        done_bytes: Bytes so far.
        total_bytes: Bytes in all, where that is known.
        receipt: What the receiver answered to the package, from `deploy` on, and in a `retry` after that.
    """

    stage: str
    line: str | None = None
    done_bytes: int = 0
    total_bytes: int | None = None
    receipt: Receipt | None = None


ProgressCallback = Callable[[Progress], None]

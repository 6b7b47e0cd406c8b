"""How far a step is."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress", "ProgressCallback"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward, told to a progress callback on the event loop's thread.

    Attributes:
        stage: `build` (a line of the engine's log), `export` (bytes of the image read from the engine) or
            `upload` (bytes of the package sent in this attempt).
        line: The log line, scrubbed of build-argument values; None for the other stages.
        done_bytes: Bytes so far.
        total_bytes: Bytes in all, where that is known.
    """

    stage: str
    line: str | None = None
    done_bytes: int = 0
    total_bytes: int | None = None


ProgressCallback = Callable[[Progress], None]

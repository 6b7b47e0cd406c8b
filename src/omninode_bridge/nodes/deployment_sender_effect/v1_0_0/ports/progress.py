"""The progress of an operation."""

from collections.abc import Callable
from dataclasses import dataclass

from .target import Receipt

__all__ = ["Progress", "ProgressCallback"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of progress, passed to a progress callback on the event loop's thread.

    Attributes:
        stage: `build` (a line of the engine's log), `export` (bytes of the image read from the engine), `upload` (bytes
            of the package sent in this attempt), `retry` (the error and the time of the next attempt) or `deploy`
            (the receiver's progress with the package).
        line: The log line without build-argument values, or the message of `retry` and `deploy`; None for the other
            stages.
        done_bytes: Bytes so far in this stage.
        total_bytes: Bytes of the whole stage; None where that is not known.
        receipt: The receiver's response to the upload, from `deploy` on, and in a `retry` after that.
    """

    stage: str
    line: str | None = None
    done_bytes: int = 0
    total_bytes: int | None = None
    receipt: Receipt | None = None


ProgressCallback = Callable[[Progress], None]

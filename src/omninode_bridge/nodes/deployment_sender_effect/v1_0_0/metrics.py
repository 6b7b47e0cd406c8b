"""Counters and timings of one node; exporters live elsewhere."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Metrics", "Span"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Span:
    """One piece of work under way.

    Attributes:
        started: `time.perf_counter()` at its start.
    """

    started: float = field(default_factory=time.perf_counter)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the start."""
        return (time.perf_counter() - self.started) * 1000


class Metrics:
    """Counts and times what the node does.

    For each kind of work `builds`, `transfers`, `publishes`: `total_`, `successful_`, `failed_` and `cancelled_`
    counters, and the `last_` and `average_` duration of the successful ones in milliseconds.
    """

    _KINDS = ("builds", "transfers", "publishes")
    _COUNTERS = ("total_events_published", "total_bytes_packaged", "total_bytes_transferred")

    def __init__(self) -> None:
        self._counts = dict.fromkeys(self._COUNTERS, 0)
        self._last_ms: dict[str, float] = {}
        self._sum_ms = dict.fromkeys(self._KINDS, 0.0)
        for kind in self._KINDS:
            self._counts |= {f"{outcome}_{kind}": 0 for outcome in ("total", "successful", "failed", "cancelled")}

    def add(self, counter: str, amount: int) -> None:
        """Add to one of the plain counters."""
        self._counts[counter] += amount

    @contextmanager
    def span(self, kind: str, subject: str) -> Iterator[Span]:
        """Count, time and log one piece of work, once, however it ends.

        Args:
            kind: `builds`, `transfers` or `publishes`.
            subject: What the log line is about, such as `hello:1.0`; never a secret.
        """
        span = Span()
        self._counts[f"total_{kind}"] += 1
        outcome = "cancelled"
        try:
            yield span
            outcome = "successful"
        except Exception as exc:
            outcome = "failed"
            _log.warning("%s of %s failed after %.0f ms: %s", kind, subject, span.elapsed_ms, exc)
            raise
        finally:
            self._counts[f"{outcome}_{kind}"] += 1
            if outcome == "successful":
                elapsed_ms = span.elapsed_ms
                self._last_ms[kind] = elapsed_ms
                self._sum_ms[kind] += elapsed_ms
                _log.info("%s of %s took %.0f ms", kind, subject, elapsed_ms)

    def snapshot(self) -> dict[str, int | float | None]:
        """Answer a copy of every figure; averages and last durations are None before the first success."""
        figures: dict[str, int | float | None] = dict(self._counts)
        for kind in self._KINDS:
            done = self._counts[f"successful_{kind}"]
            figures[f"average_{kind}_duration_ms"] = self._sum_ms[kind] / done if done else None
            figures[f"last_{kind}_duration_ms"] = self._last_ms.get(kind)
        return figures

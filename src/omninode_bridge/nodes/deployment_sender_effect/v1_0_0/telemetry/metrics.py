"""Counters and timings of one node; exporters live elsewhere."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Metrics", "Span"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Span:
    """One piece of work under way.

    Attributes:
        started: `time.perf_counter()` at its start.
        stages_ms: Milliseconds spent in each stage so far; stages may run side by side.
    """

    started: float = field(default_factory=time.perf_counter)
    stages_ms: dict[str, float] = field(default_factory=dict)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the start."""
        return (time.perf_counter() - self.started) * 1000

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time until the end of the `with` to a stage; each stage is timed in one thread at a time."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages_ms[name] = self.stages_ms.get(name, 0.0) + (time.perf_counter() - began) * 1000


class Metrics:
    """Counts and times what the node does.

    For each kind of work `builds`, `transfers`, `publishes`: `total_`, `successful_`, `failed_` and `cancelled_`
    counters, and the `last_` and `average_` duration of the successful ones in milliseconds, of the whole
    (`..._builds_duration_ms`) and of its stages (`..._builds_compress_ms`).
    """

    _STAGES = MappingProxyType(
        {
            "builds": ("build", "export_wait", "stream", "compress", "hash", "write", "commit"),
            "transfers": ("check", "connect", "send", "verify", "load"),
            "publishes": (),
        }
    )
    _COUNTERS = ("total_events_published", "total_bytes_packaged", "total_bytes_transferred")

    def __init__(self) -> None:
        self._counts = dict.fromkeys(self._COUNTERS, 0)
        self._last_ms: dict[str, float] = {}
        self._sum_ms: dict[str, float] = {}
        for kind in self._STAGES:
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
                self._remember(f"{kind}_duration_ms", elapsed_ms)
                for stage in self._STAGES[kind]:
                    self._remember(f"{kind}_{stage}_ms", span.stages_ms.get(stage, 0.0))
                _log.info("%s of %s took %.0f ms", kind, subject, elapsed_ms)

    def snapshot(self) -> dict[str, int | float | None]:
        """Answer a copy of every figure; averages and last durations are None before the first success."""
        figures: dict[str, int | float | None] = dict(self._counts)
        for kind in self._STAGES:
            done = self._counts[f"successful_{kind}"]
            for name in (f"{kind}_duration_ms", *(f"{kind}_{stage}_ms" for stage in self._STAGES[kind])):
                figures[f"average_{name}"] = self._sum_ms[name] / done if done else None
                figures[f"last_{name}"] = self._last_ms.get(name)
        return figures

    def _remember(self, name: str, milliseconds: float) -> None:
        self._last_ms[name] = milliseconds
        self._sum_ms[name] = self._sum_ms.get(name, 0.0) + milliseconds

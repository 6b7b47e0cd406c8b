"""Counters and timings of one node or one receiver; `prometheus.py` exports them.

Plain numbers, changed on the event loop only. What is counted, and what each name means, is in `catalogue.py`.
"""

import logging
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Distribution", "LabelledCounter", "MetricNames", "Metrics", "Span"]

_log = logging.getLogger(__name__)

_OUTCOMES = ("total", "successful", "failed", "cancelled")


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


@dataclass(slots=True)
class Distribution:
    """Values of one kind, such as durations: how many, their sum, the last one, and a histogram.

    Attributes:
        bounds: Upper bounds of the histogram's buckets, ascending; empty if only count and sum are wanted.
        count: How many values there were.
        total: Their sum.
        last: The latest value; None before the first.
        buckets: For each bound, the number of values up to it and above the bound before; at the end, those above all.
    """

    bounds: tuple[float, ...] = ()
    count: int = 0
    total: float = 0.0
    last: float | None = None
    buckets: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Add a value."""
        self.count += 1
        self.total += value
        self.last = value
        self.buckets[bisect_left(self.bounds, value)] += 1

    @property
    def average(self) -> float | None:
        """The mean of all values; None before the first."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class LabelledCounter:
    """Several counters as one with a label, for exporters that have labels.

    Attributes:
        label: The label's name.
        meaning: One sentence.
        counters: For each value of the label, the counter that has its number.
    """

    label: str
    meaning: str
    counters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetricNames:
    """What is counted and measured.

    Attributes:
        counters: For each counter, its meaning.
        labelled: Counters that are also exported as one with a label.
        histograms: For each histogram, its meaning and the upper bounds of its buckets.
        work: For each kind of work that `Metrics.span` times, the names of its stages.
    """

    counters: Mapping[str, str]
    labelled: Mapping[str, LabelledCounter] = field(default_factory=dict)
    histograms: Mapping[str, tuple[str, tuple[float, ...]]] = field(default_factory=dict)
    work: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Metrics:
    """Counts and times what a node or a receiver does.

    Args:
        names: What there is to count.

    Attributes:
        names: As given.
        counters: The number of each counter. For each kind of work also `total_`, `successful_`, `failed_` and
            `cancelled_`, such as `failed_builds`.
        histograms: The values of each histogram.
    """

    def __init__(self, names: MetricNames) -> None:
        self.names = names
        self.counters = dict.fromkeys(names.counters, 0)
        self.counters |= {f"{outcome}_{kind}": 0 for kind in names.work for outcome in _OUTCOMES}
        self.histograms = {name: Distribution(bounds) for name, (_, bounds) in names.histograms.items()}
        self._durations_ms = {
            f"{kind}_{what}_ms": Distribution() for kind, stages in names.work.items() for what in ("duration", *stages)
        }

    def add(self, counter: str, amount: int = 1) -> None:
        """Add to a counter."""
        self.counters[counter] += amount

    def observe(self, histogram: str, value: float) -> None:
        """Add a value to a histogram, in the unit that its name ends with."""
        self.histograms[histogram].observe(value)

    @contextmanager
    def span(self, kind: str, subject: str) -> Iterator[Span]:
        """Count, time and log one piece of work, once, however it ends.

        Args:
            kind: One of `names.work`.
            subject: What the log line is about, such as `hello:1.0`; never a secret.
        """
        span = Span()
        self.counters[f"total_{kind}"] += 1
        outcome = "cancelled"
        try:
            yield span
            outcome = "successful"
        except Exception as exc:
            outcome = "failed"
            _log.warning("%s of %s failed after %.0f ms: %s", kind, subject, span.elapsed_ms, exc)
            raise
        finally:
            self.counters[f"{outcome}_{kind}"] += 1
            if outcome == "successful":
                elapsed_ms = span.elapsed_ms
                self._durations_ms[f"{kind}_duration_ms"].observe(elapsed_ms)
                for stage in self.names.work[kind]:
                    self._durations_ms[f"{kind}_{stage}_ms"].observe(span.stages_ms.get(stage, 0.0))
                _log.info("%s of %s took %.0f ms", kind, subject, elapsed_ms)

    def snapshot(self) -> dict[str, int | float | None]:
        """Return a copy of every counter, and the average and the last duration of each kind of work and its stages.

        Durations are in milliseconds, of the work that succeeded, and None before the first success.
        """
        figures: dict[str, int | float | None] = dict(self.counters)
        for name, durations in self._durations_ms.items():
            figures[f"average_{name}"] = durations.average
            figures[f"last_{name}"] = durations.last
        return figures

"""Exports `Metrics` in Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats), and reads it.

`prometheus-client` writes and parses the text. Each exporter has a registry of its own; the global one, which also
describes the process, is not used.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .metrics import Metrics

__all__ = ["CONTENT_TYPE", "Gauge", "PrometheusExporter", "read_samples"]

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Version 0.0.4 of the text format, which every scraper reads."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that goes up and down, read when it is exported.

    Attributes:
        name: Without the exporter's prefix.
        meaning: One sentence.
        values: By the label's value; one number under "" if there is no label.
        label: The label's name; None if there is none.
    """

    name: str
    meaning: str
    values: Mapping[str, float]
    label: str | None = None


class PrometheusExporter(Collector):
    """Exports one `Metrics`.

    Args:
        metrics: The numbers.
        prefix: What every name begins with, such as `deployment_receiver_`.
        gauges: Returns what is true at this moment.
    """

    def __init__(self, metrics: Metrics, prefix: str, gauges: Callable[[], Iterable[Gauge]]) -> None:
        self._metrics = metrics
        self._prefix = prefix
        self._gauges = gauges
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return all metrics as text; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Yield each metric for the registry."""
        yield from self._counters()
        yield from self._histograms()
        for gauge in self._gauges():
            family = GaugeMetricFamily(self._prefix + gauge.name, gauge.meaning, labels=_labels(gauge.label))
            for value, number in sorted(gauge.values.items()):
                family.add_metric([value] if gauge.label else [], number)
            yield family

    def _counters(self) -> Iterable[Metric]:
        names, numbers = self._metrics.names, self._metrics.counters
        for name, meaning in names.counters.items():
            yield CounterMetricFamily(self._prefix + name, meaning, value=numbers[name])
        for name, group in names.labelled.items():
            family = CounterMetricFamily(self._prefix + name, group.meaning, labels=_labels(group.label))
            for value, counter in group.counters.items():
                family.add_metric([value], numbers[counter])
            yield family

    def _histograms(self) -> Iterable[Metric]:
        for name, (meaning, bounds) in self._metrics.names.histograms.items():
            values = self._metrics.histograms[name]
            ends = [*map(floatToGoString, bounds), "+Inf"]
            buckets = list(zip(ends, map(float, accumulate(values.buckets)), strict=True))
            yield HistogramMetricFamily(self._prefix + name, meaning, buckets=buckets, sum_value=values.total)


def read_samples(text: str) -> dict[str, float]:
    """Parse metrics in the text format.

    Returns:
        Each sample by its name with its labels, such as `deployment_receiver_deployments{status="running"}`.

    Raises:
        ValueError: It is not in that format.
    """
    return {
        _sample_name(sample.name, sample.labels): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(label: str | None) -> list[str]:
    return [] if label is None else [label]


def _sample_name(name: str, labels: Mapping[str, str]) -> str:
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{shown}}}" if shown else name


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

"""Metrics in Prometheus' text format."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import (
    LabelledCounter,
    MetricNames,
    Metrics,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.prometheus import (
    CONTENT_TYPE,
    Gauge,
    PrometheusExporter,
    read_samples,
)

NAMES = MetricNames(
    counters={"loads_good_total": "Loads that went well.", "loads_bad_total": "Loads that failed."},
    labelled={
        "loads_total": LabelledCounter(
            "outcome", "Loads by outcome.", {"good": "loads_good_total", "bad": "loads_bad_total"}
        )
    },
    histograms={"load_seconds": ("Seconds of each load.", (1.0, 10.0))},
)


def exported(metrics: Metrics, *gauges: Gauge) -> str:
    """Return the text of these metrics."""
    return PrometheusExporter(metrics, "x_", lambda: gauges).text().decode()


def test_every_metric_has_its_help_its_type_and_its_samples() -> None:
    """In the text format, word for word."""
    metrics = Metrics(NAMES)
    metrics.add("loads_good_total", 2)
    metrics.observe("load_seconds", 3)

    expected = """\
# HELP x_loads_good_total Loads that went well.
# TYPE x_loads_good_total counter
x_loads_good_total 2.0
# HELP x_loads_bad_total Loads that failed.
# TYPE x_loads_bad_total counter
x_loads_bad_total 0.0
# HELP x_loads_total Loads by outcome.
# TYPE x_loads_total counter
x_loads_total{outcome="good"} 2.0
x_loads_total{outcome="bad"} 0.0
# HELP x_load_seconds Seconds of each load.
# TYPE x_load_seconds histogram
x_load_seconds_bucket{le="1.0"} 0.0
x_load_seconds_bucket{le="10.0"} 1.0
x_load_seconds_bucket{le="+Inf"} 1.0
x_load_seconds_count 1.0
x_load_seconds_sum 3.0
# HELP x_active Loads under way.
# TYPE x_active gauge
x_active 4.0
# HELP x_states Loads by state.
# TYPE x_states gauge
x_states{state="a"} 1.0
x_states{state="b"} 0.0
"""
    gauges = Gauge("active", "Loads under way.", {"": 4}), Gauge("states", "Loads by state.", {"b": 0, "a": 1}, "state")
    assert expected == exported(metrics, *gauges)


def test_the_content_type_is_that_of_the_classic_format() -> None:
    """Every scraper reads version 0.0.4."""
    assert "text/plain; version=0.0.4; charset=utf-8" == CONTENT_TYPE


def test_two_exporters_share_nothing() -> None:
    """Each receiver of a process has metrics of its own, and none describes the process."""
    first, second = Metrics(NAMES), Metrics(NAMES)
    first.add("loads_good_total")

    assert 1 == read_samples(exported(first))["x_loads_good_total"]
    assert 0 == read_samples(exported(second))["x_loads_good_total"]
    assert "process" not in exported(first)


def test_exported_metrics_can_be_read_back() -> None:
    """Large numbers and labels with escapes too."""
    metrics = Metrics(NAMES)
    metrics.add("loads_good_total", 123_456_789_012)
    label = 'a "quoted" \\ one\nof two lines'

    samples = read_samples(exported(metrics, Gauge("states", "Loads by state.", {label: 7}, "state")))

    assert 123_456_789_012 == samples["x_loads_good_total"]
    assert 7 == samples['x_states{state="a \\"quoted\\" \\\\ one\\nof two lines"}']


@pytest.mark.parametrize("text", ["<html><body>no</body></html>", '{"status": "ok"}', "word", "name 1 2 x"])
def test_another_format_is_refused(text: str) -> None:
    """With `ValueError`."""
    with pytest.raises(ValueError, match=r"\w"):
        read_samples(text)

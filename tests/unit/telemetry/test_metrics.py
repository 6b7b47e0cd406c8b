"""Counters and timings."""

import asyncio
import logging

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.catalogue import SENDER
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Distribution, MetricNames, Metrics


def test_a_distribution_before_its_first_value_invents_none() -> None:
    """It has no average and no last value."""
    empty = Distribution((1.0,))

    assert (0, None, None, [0, 0]) == (empty.count, empty.average, empty.last, empty.buckets)


def test_a_distribution_counts_each_value_once() -> None:
    """A value that is equal to a bound is in the bucket of that bound."""
    values = Distribution((1.0, 10.0))
    for value in (0.5, 1.0, 1.5, 10.0, 11.0):
        values.observe(value)

    assert (5, 24.0, 4.8, 11.0, [2, 2, 1]) == (
        values.count,
        values.total,
        values.average,
        values.last,
        values.buckets,
    )


def test_a_histogram_has_the_bounds_of_its_name() -> None:
    """And no value at first."""
    metrics = Metrics(MetricNames(counters={}, histograms={"load_seconds": ("Seconds of each load.", (1.0,))}))
    metrics.observe("load_seconds", 2)

    assert Distribution((1.0,)).bounds == metrics.histograms["load_seconds"].bounds
    assert [0, 1] == metrics.histograms["load_seconds"].buckets


def test_a_span_that_succeeds_counts_and_times(caplog: pytest.LogCaptureFixture) -> None:
    """One total, one successful, a duration, one log line."""
    metrics = Metrics(SENDER)
    with caplog.at_level(logging.INFO), metrics.span("builds", "hello:1.0"):
        pass

    figures = metrics.snapshot()
    assert (1, 1, 0) == (figures["total_builds"], figures["successful_builds"], figures["failed_builds"])
    assert figures["average_builds_duration_ms"] == figures["last_builds_duration_ms"] is not None
    assert 1 == len(caplog.records)


def test_a_span_that_fails_counts_and_raises_the_error(caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged once."""
    metrics = Metrics(SENDER)
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="no"), metrics.span("transfers", "x"):
        raise ValueError("no")

    figures = metrics.snapshot()
    assert (1, 0, 1, None) == (
        figures["total_transfers"],
        figures["successful_transfers"],
        figures["failed_transfers"],
        figures["last_transfers_duration_ms"],
    )
    assert ["WARNING"] == [record.levelname for record in caplog.records]


def test_a_cancelled_span_is_neither_success_nor_failure() -> None:
    """The caller wanted it."""
    metrics = Metrics(SENDER)
    with pytest.raises(asyncio.CancelledError), metrics.span("publishes", "x"):
        raise asyncio.CancelledError

    figures = metrics.snapshot()
    assert (1, 0, 0, 1) == tuple(
        figures[f"{word}_publishes"] for word in ("total", "successful", "failed", "cancelled")
    )


def test_a_snapshot_does_not_change_when_work_goes_on() -> None:
    """It is a copy."""
    metrics = Metrics(SENDER)
    before = metrics.snapshot()
    metrics.add("total_bytes_packaged", 5)

    assert (0, 5) == (before["total_bytes_packaged"], metrics.snapshot()["total_bytes_packaged"])

"""Counters and timings."""

import asyncio
import logging

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Metrics


def test_a_fresh_snapshot_has_every_figure_and_invents_none() -> None:
    """Counters start at 0; durations are None before there is one."""
    figures = Metrics().snapshot()

    expected = {
        f"{outcome}_{kind}": 0
        for kind in ("builds", "transfers", "publishes")
        for outcome in ("total", "successful", "failed", "cancelled")
    }
    expected |= dict.fromkeys(("total_events_published", "total_bytes_packaged", "total_bytes_transferred"), 0)
    durations = {
        f"{word}_{kind}_{what}_ms": None
        for kind, stages in (
            ("builds", ("build", "export_wait", "stream", "compress", "hash", "write", "commit")),
            ("transfers", ("check", "connect", "send", "verify", "load")),
            ("publishes", ()),
        )
        for what in ("duration", *stages)
        for word in ("average", "last")
    }
    assert expected | durations == figures


def test_a_span_that_ends_well_counts_and_times(caplog: pytest.LogCaptureFixture) -> None:
    """One success: one total, one successful, a duration, one log line."""
    metrics = Metrics()
    with caplog.at_level(logging.INFO), metrics.span("builds", "hello:1.0"):
        pass

    figures = metrics.snapshot()
    assert (1, 1, 0) == (figures["total_builds"], figures["successful_builds"], figures["failed_builds"])
    assert figures["average_builds_duration_ms"] == figures["last_builds_duration_ms"] is not None
    assert 1 == len(caplog.records)


def test_a_span_that_fails_counts_and_lets_the_error_through(caplog: pytest.LogCaptureFixture) -> None:
    """The error is told once, and not swallowed."""
    metrics = Metrics()
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
    """Cancellation is the caller's wish."""
    metrics = Metrics()
    with pytest.raises(asyncio.CancelledError), metrics.span("publishes", "x"):
        raise asyncio.CancelledError

    figures = metrics.snapshot()
    assert (1, 0, 0, 1) == tuple(
        figures[f"{word}_publishes"] for word in ("total", "successful", "failed", "cancelled")
    )


def test_a_snapshot_does_not_change_when_work_goes_on() -> None:
    """Callers get a copy."""
    metrics = Metrics()
    before = metrics.snapshot()
    metrics.add("total_bytes_packaged", 5)

    assert (0, 5) == (before["total_bytes_packaged"], metrics.snapshot()["total_bytes_packaged"])

"""The names of all metrics: users' dashboards and programs depend on them."""

import re
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.catalogue import RECEIVER, SENDER
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import MetricNames, Metrics

# What release 1.0.0 had. Names may be added here, and none may go.
RECEIVER_COUNTERS = {
    "uploads_stored_total",
    "uploads_repeated_total",
    "uploads_refused_total",
    "uploads_failed_total",
    "uploads_broken_off_total",
    "upload_bytes_total",
    "loads_succeeded_total",
    "loads_failed_total",
    "containers_started_total",
}
PROTOCOL = Path(__file__).parents[3] / "docs" / "receiver-protocol.md"


def test_no_counter_of_a_receiver_is_gone() -> None:
    """Others may be added."""
    assert RECEIVER_COUNTERS <= RECEIVER.counters.keys()


def test_every_metric_of_a_node_is_there() -> None:
    """Counters start at 0; durations are None before the first."""
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
    assert expected | durations == Metrics(SENDER).snapshot()


@pytest.mark.parametrize("names", [SENDER, RECEIVER])
def test_every_label_stands_for_a_counter(names: MetricNames) -> None:
    """So both ways to count agree."""
    for group in names.labelled.values():
        assert set(group.counters.values()) <= names.counters.keys()


def test_the_documents_list_every_metric_of_a_receiver() -> None:
    """And no other."""
    documented = set(re.findall(r"^\| `deployment_receiver_(\w+)(?:\{\w+\})?` \|", PROTOCOL.read_text(), re.MULTILINE))

    gauges = {"uploads_active", "deployments"}
    assert {*RECEIVER.counters, *RECEIVER.labelled, *RECEIVER.histograms, *gauges} == documented

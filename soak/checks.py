"""The verdicts of a run."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from soak.evidence import Evidence

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """What was checked, and what speaks against it."""

    title: str
    complaints: list[str]


def verdicts(evidence: Evidence) -> list[Verdict]:
    """Judge."""
    return [Verdict(title, list(check(evidence))) for title, check in _CHECKS.items()]


def _all_succeeded(evidence: Evidence) -> Iterator[str]:
    for one in evidence.deployed:
        yield from (f"deployment {one.number}: {failure}" for failure in one.failures)


def _packages_match(evidence: Evidence) -> Iterator[str]:
    sent = {one.package_id: one.checksum for one in evidence.deployed if one.package_id}
    yield from _differences(sent, evidence.received)
    if len(sent) != len(set(sent.values())):
        yield "packages are the same that should differ"


def _events_delivered(evidence: Evidence) -> Iterator[str]:
    accepted = {event.event_id for event in evidence.events if event.accepted}
    yield from (f"event {event.event_id} was not accepted" for event in evidence.events if not event.accepted)
    found = set(_first_seen(evidence))
    yield from (f"event {event_id} was accepted and is not in the broker" for event_id in sorted(accepted - found))
    yield from (f"event {event_id} is in the broker and was not published" for event_id in sorted(found - accepted))


def _events_in_order(evidence: Evidence) -> Iterator[str]:
    """A package's events have several topics: their order is that in which the producer took them."""
    first = _first_seen(evidence)
    last: dict[str, int] = {}
    for event in evidence.events:
        if event.event_id in first:
            if first[event.event_id] < last.get(event.key, 0):
                yield f"event {event.event_id} of {event.key} was delivered before one that was published before it"
            last[event.key] = first[event.event_id]


def _metrics_add_up(evidence: Evidence) -> Iterator[str]:
    deployed, events = evidence.deployed, evidence.events
    acknowledged = sum(event.acknowledged for event in events)
    size = sum(one.size_bytes for one in deployed)
    expected = {
        "total_builds": len(deployed),
        "successful_builds": len(deployed),
        "failed_builds": 0,
        "cancelled_builds": 0,
        "total_transfers": len(deployed),
        "successful_transfers": len(deployed),
        "failed_transfers": 0,
        "cancelled_transfers": 0,
        "total_publishes": len(events),
        "successful_publishes": acknowledged,
        "failed_publishes": len(events) - acknowledged,
        "cancelled_publishes": 0,
        "total_events_published": len(events) - evidence.flushed,
        "total_bytes_packaged": size,
        "total_bytes_transferred": size,
    }
    yield from _differences(expected, {name: evidence.metrics.get(name) for name in expected})


def _retries_add_up(evidence: Evidence) -> Iterator[str]:
    for one in evidence.deployed:
        if one.attempts != 1 + one.cut:
            yield f"deployment {one.number}: {one.attempts} attempts, {'cut' if one.cut else 'not cut'}"
    expected = {
        "uploads_stored_total": len(evidence.deployed),
        "uploads_refused_total": 0,
        "uploads_failed_total": 0,
        "uploads_active": 0,
        "loads_succeeded_total": len(evidence.deployed),
        "loads_failed_total": 0,
    }
    yield from _differences(expected, {name: evidence.receiver_metrics.get(name) for name in expected})


def _outbox_is_empty(evidence: Evidence) -> Iterator[str]:
    yield from _differences({"waiting": 0, "sent": len(evidence.events), "failed": 0}, evidence.outbox)


_CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "every deployment succeeded": _all_succeeded,
    "every package is in the receiver's store and matches": _packages_match,
    "every event is in the broker": _events_delivered,
    "the first deliveries of each package are in order": _events_in_order,
    "the node's metrics add up": _metrics_add_up,
    "one retry for each cut, and one load for each package": _retries_add_up,
    "the outbox is empty": _outbox_is_empty,
    "no file has stayed": lambda evidence: iter(evidence.left_files),
    "no thread, task or descriptor has leaked": lambda evidence: iter(evidence.leaks),
}


def _differences(expected: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            yield f"{name}: {found.get(name)}, not {expected.get(name)}"


def _first_seen(evidence: Evidence) -> dict[str, int]:
    """When the producer took each event, the first time if it came more than once."""
    first: dict[str, int] = {}
    for record in evidence.records:
        event_id = json.loads(record.value)["envelope_id"]
        first[event_id] = min(record.timestamp_ms, first.get(event_id, record.timestamp_ms))
    return first

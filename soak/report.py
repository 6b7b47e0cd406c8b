"""A run as a table, and for programs."""

from collections.abc import Iterable
from dataclasses import asdict
from statistics import median

from soak.checks import Verdict
from soak.evidence import Evidence

__all__ = ["document", "lines"]

_WIDTH = 32
_MB = 1_000_000


def _figures(evidence: Evidence) -> dict[str, int | float]:
    deployed = evidence.deployed
    figures: dict[str, int | float] = {
        "deployments": len(deployed),
        "at once": evidence.concurrency,
        "seconds": evidence.seconds,
        "deployments per hour": 3600 * len(deployed) / evidence.seconds,
        "transfers cut": sum(one.cut for one in deployed),
        "retries": sum(max(0, one.attempts - 1) for one in deployed),
        "broker restarts": evidence.restarts,
        "events": len(evidence.events),
        "events that had to wait": sum(not event.acknowledged for event in evidence.events),
        "events delivered more than once": len(evidence.records) - len({record.value for record in evidence.records}),
    }
    times: dict[str, list[float | None]] = {
        "build": [one.build_ms for one in deployed],
        "package": [one.export_ms for one in deployed],
        "transfer": [one.transfer_ms for one in deployed],
        "publish": [event.duration_ms for event in evidence.events],
        "deployment": [one.seconds * 1000 for one in deployed],
    }
    for name, found in times.items():
        known = [value for value in found if value is not None]
        figures[f"{name}, median ms"] = median(known) if known else 0
        figures[f"{name}, longest ms"] = max(known, default=0)
    figures["sender, peak MB"] = evidence.sender_peak_bytes / _MB
    figures["receiver, peak MB"] = evidence.receiver_peak_bytes / _MB
    return figures


def lines(evidence: Evidence, verdicts: Iterable[Verdict]) -> list[str]:
    """Return the lines of a report for a person."""
    printed = [f"{'seed':{_WIDTH}} {evidence.seed:>10}"]
    printed += [f"{name:{_WIDTH}} {round(value, 1):>10,}" for name, value in _figures(evidence).items()]
    for verdict in verdicts:
        printed += [f"        {complaint}" for complaint in verdict.complaints]
        printed.append(f"{'FAILED' if verdict.complaints else 'ok':7} {verdict.title}")
    return printed


def document(evidence: Evidence, verdicts: Iterable[Verdict]) -> dict[str, object]:
    """Return the report as JSON can hold it."""
    checks = [asdict(verdict) | {"ok": not verdict.complaints} for verdict in verdicts]
    return {"seed": evidence.seed, "figures": _figures(evidence), "checks": checks}

"""What the receiver counts, told in Prometheus' text format (prometheus.io/docs/instrumenting/exposition_formats)."""

from collections.abc import Mapping

__all__ = ["CONTENT_TYPE", "Counters"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "uploads_stored_total": "Packages verified and stored.",
    "uploads_repeated_total": "Packages that were there already.",
    "uploads_refused_total": "Uploads answered with 4xx.",
    "uploads_failed_total": "Uploads answered with 5xx.",
    "uploads_broken_off_total": "Uploads whose client went away.",
    "upload_bytes_total": "Bytes of packages that arrived.",
    "loads_succeeded_total": "Images loaded and checked.",
    "loads_failed_total": "Deployments that failed after their package was stored.",
    "containers_started_total": "Containers started.",
}


class Counters:
    """Plain numbers, changed on the event loop only."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(_HELP, 0)

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""
        self._counts[name] += amount

    def text(self, uploads_active: int, deployments: Mapping[str, int]) -> str:
        """Tell every counter, and what is under way now.

        Args:
            uploads_active: Uploads arriving now.
            deployments: How many are in each status.
        """
        lines = []
        for name, value in self._counts.items():
            lines += _metric(name, "counter", _HELP[name], {"": value})
        lines += _metric("uploads_active", "gauge", "Uploads arriving now.", {"": uploads_active})
        by_status = {f'{{status="{status}"}}': count for status, count in sorted(deployments.items())}
        lines += _metric("deployments", "gauge", "Deployments by status.", by_status)
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str, samples: Mapping[str, int]) -> list[str]:
    full = f"deployment_receiver_{name}"
    return [f"# HELP {full} {text}", f"# TYPE {full} {kind}", *(f"{full}{labels} {n}" for labels, n in samples.items())]

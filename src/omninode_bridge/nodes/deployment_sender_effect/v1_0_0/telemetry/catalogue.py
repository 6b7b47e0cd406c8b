"""What a node and a receiver count and measure, with the meaning of each name.

A node returns its numbers from `get_metrics`; a receiver exports its own at `GET /metrics` (docs/receiver-protocol.md).
Names stay when a release adds others.
"""

from .metrics import LabelledCounter, MetricNames

__all__ = ["RECEIVER", "SENDER"]

SENDER = MetricNames(
    counters={
        "total_events_published": "Events that the broker acknowledged.",
        "total_bytes_packaged": "Bytes of the packages that were made.",
        "total_bytes_transferred": "Bytes of the packages that receivers took.",
    },
    work={
        "builds": ("build", "export_wait", "stream", "compress", "hash", "write", "commit"),
        "transfers": ("check", "connect", "send", "verify", "load"),
        "publishes": (),
    },
)

# Buckets: a small image over a fast network takes well under a second, a large one over a slow one many minutes.
_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0)
# 1 MB to 30 GB; the default limit of a package is in docs/operations.md.
_BYTES = (1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 3e9, 1e10, 3e10)

RECEIVER = MetricNames(
    counters={
        "uploads_stored_total": "Packages verified and stored.",
        "uploads_repeated_total": "Packages that were already there.",
        "uploads_refused_total": "Uploads with a 4xx response.",
        "uploads_failed_total": "Uploads with a 5xx response.",
        "uploads_broken_off_total": "Uploads whose client disconnected.",
        "upload_bytes_total": "Bytes of packages that arrived.",
        "loads_succeeded_total": "Images loaded and checked.",
        "loads_failed_total": "Deployments that failed after their package was stored.",
        "containers_started_total": "Containers started.",
    },
    labelled={
        "uploads_total": LabelledCounter(
            "outcome",
            "Uploads by outcome.",
            {
                "stored": "uploads_stored_total",
                "repeated": "uploads_repeated_total",
                "refused": "uploads_refused_total",
                "failed": "uploads_failed_total",
                "broken_off": "uploads_broken_off_total",
            },
        ),
        "loads_total": LabelledCounter(
            "outcome", "Loads by outcome.", {"succeeded": "loads_succeeded_total", "failed": "loads_failed_total"}
        ),
    },
    histograms={
        "upload_duration_seconds": ("Seconds from a request's headers until its package was stored.", _SECONDS),
        "upload_size_bytes": ("Bytes of each package that was stored.", _BYTES),
        "load_duration_seconds": ("Seconds to check a stored package and load its image.", _SECONDS),
    },
)

"""Figures as people read them: 1 MB is 1,000,000 bytes."""

from datetime import datetime

__all__ = ["duration", "rate", "size", "when"]

_KB, _MB, _GB = 1_000, 1_000_000, 1_000_000_000
_SECOND_MS, _MINUTE_MS = 1_000, 60_000


def size(size_bytes: int) -> str:
    """Tell bytes: `734 bytes`, `12.3 KB`, `734.0 MB`, `1.50 GB`."""
    if size_bytes < _KB:
        return f"{size_bytes} bytes"
    if size_bytes < _MB:
        return f"{size_bytes / _KB:.1f} KB"
    if size_bytes < _GB:
        return f"{size_bytes / _MB:.1f} MB"
    return f"{size_bytes / _GB:.2f} GB"


def duration(duration_ms: float) -> str:
    """Tell milliseconds: `7 ms`, `3.2 s`, `2 min 5 s`."""
    if duration_ms < _SECOND_MS:
        return f"{duration_ms:.0f} ms"
    if duration_ms < _MINUTE_MS:
        return f"{duration_ms / _SECOND_MS:.1f} s"
    minutes, seconds = divmod(round(duration_ms / _SECOND_MS), 60)
    return f"{minutes} min {seconds} s"


def rate(size_bytes: int, duration_ms: float) -> str:
    """Tell a throughput: `512.0 MB/s`; nothing if no time has passed."""
    if duration_ms <= 0:
        return ""
    return f"{size_bytes / _MB / (duration_ms / _SECOND_MS):.1f} MB/s"


def when(time: datetime) -> str:
    """Tell a time in UTC to the second: `2025-11-23 21:04:59`."""
    return f"{time:%Y-%m-%d %H:%M:%S}"

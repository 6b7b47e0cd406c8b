"""Formats sizes, durations, rates and times for people: 1 MB is 1,000,000 bytes."""

from datetime import datetime

__all__ = ["duration", "rate", "size", "when"]

_KB, _MB, _GB = 1_000, 1_000_000, 1_000_000_000
_SECOND_MS, _MINUTE_MS = 1_000, 60_000
_RATE_MIN_MS = 100  # the rate of few bytes in less time than this is that of the connection's start, not of its bytes


def size(size_bytes: int) -> str:
    """Format a number of bytes: `734 bytes`, `12.3 KB`, `734.0 MB`, `1.50 GB`."""
    if size_bytes < _KB:
        return f"{size_bytes} bytes"
    if size_bytes < _MB:
        return f"{size_bytes / _KB:.1f} KB"
    if size_bytes < _GB:
        return f"{size_bytes / _MB:.1f} MB"
    return f"{size_bytes / _GB:.2f} GB"


def duration(duration_ms: float) -> str:
    """Format milliseconds: `7 ms`, `3.2 s`, `2 min 5 s`."""
    if duration_ms < _SECOND_MS:
        return f"{duration_ms:.0f} ms"
    if duration_ms < _MINUTE_MS:
        return f"{duration_ms / _SECOND_MS:.1f} s"
    minutes, seconds = divmod(round(duration_ms / _SECOND_MS), 60)
    return f"{minutes} min {seconds} s"


def rate(size_bytes: int, duration_ms: float) -> str:
    """Format a throughput: `512.0 MB/s`; empty for less than 1 MB in less than 0.1 s, where it means nothing."""
    if duration_ms <= 0 or (size_bytes < _MB and duration_ms < _RATE_MIN_MS):
        return ""
    return f"{size(round(size_bytes / (duration_ms / _SECOND_MS)))}/s"


def when(time: datetime) -> str:
    """Format a time to the second, in its own zone: `2025-11-23 21:04:59`."""
    return f"{time:%Y-%m-%d %H:%M:%S}"

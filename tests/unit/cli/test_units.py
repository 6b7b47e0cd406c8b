"""Numbers as people read them."""

from datetime import UTC, datetime

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.units import duration, rate, size, when


@pytest.mark.parametrize(
    ("size_bytes", "formatted"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 KB"), (2_147_040, "2.1 MB"), (1_500_000_000, "1.50 GB")],
)
def test_a_size_has_units_of_a_thousand(size_bytes: int, formatted: str) -> None:
    """1 MB is 1,000,000 bytes."""
    assert formatted == size(size_bytes)


@pytest.mark.parametrize(
    ("duration_ms", "formatted"),
    [
        (0, "0 ms"),
        (75.4, "75 ms"),
        (3_240, "3.2 s"),
        (59_960, "60.0 s"),
        (125_000, "2 min 5 s"),
        (119_700, "2 min 0 s"),
    ],
)
def test_a_duration_has_the_unit_that_fits(duration_ms: float, formatted: str) -> None:
    """Milliseconds, seconds or minutes."""
    assert formatted == duration(duration_ms)


@pytest.mark.parametrize(
    ("size_bytes", "duration_ms", "formatted"),
    [
        (10_000_000, 500, "20.0 MB/s"),
        (1_000_000, 1, "1.00 GB/s"),
        (999_999, 100, "10.0 MB/s"),
        (12_300, 200, "61.5 KB/s"),
        (0, 100, "0 bytes/s"),
    ],
)
def test_a_rate_has_the_unit_that_fits(size_bytes: int, duration_ms: float, formatted: str) -> None:
    """Never `0.0 MB/s` for something that has a rate."""
    assert formatted == rate(size_bytes, duration_ms)


@pytest.mark.parametrize(("size_bytes", "duration_ms"), [(10, 0), (734, 51), (999_999, 99.9)])
def test_few_bytes_in_a_moment_have_no_rate(size_bytes: int, duration_ms: float) -> None:
    """It would be that of the connection's start; and a clock that has not moved divides nothing by zero."""
    assert "" == rate(size_bytes, duration_ms)


def test_a_time_is_shown_to_the_second() -> None:
    """In its own zone."""
    assert "2025-11-23 21:04:59" == when(datetime(2025, 11, 23, 21, 4, 59, 123, tzinfo=UTC))

"""Trying again what may pass, with pauses that grow and are spread, so that many senders do not come back together."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import DeploymentSenderError

__all__ = ["Pauses", "retrying"]

T = TypeVar("T")

_GROWTHS_MAX = 64  # far beyond the longest pause, and no float overflows


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait before each further attempt.

    Attributes:
        first_seconds: After the first failure.
        growth: Each is so many times the one before it.
        longest_seconds: Where they stop growing.
        spread_seconds: Added, at most, to what the other side asked for.
    """

    first_seconds: float = 0.25
    growth: float = 2.0
    longest_seconds: float = 30.0
    spread_seconds: float = 1.0

    def after(self, failures: int, retry_after: float | None = None) -> float:
        """Return how many seconds to wait: between half the pause and all of it, or what was asked for and a bit.

        Args:
            failures: How many attempts have failed, at least 1.
            retry_after: Seconds that the other side asked for.
        """
        if retry_after is not None:
            return retry_after + random.uniform(0, self.spread_seconds)  # noqa: S311 - spreads senders, hides nothing
        pause = self.first_seconds * self.growth ** min(failures - 1, _GROWTHS_MAX)
        return min(pause, self.longest_seconds) * random.uniform(0.5, 1)  # noqa: S311


async def retrying(
    attempt: Callable[[], Awaitable[T]],
    on_wait: Callable[[DeploymentSenderError, float], None],
    *,
    pauses: Pauses,
    attempts: int | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Try until it succeeds, or fails in a way that will not pass.

    Args:
        attempt: What to try.
        on_wait: Told each failure that may pass, and the seconds until the next attempt.
        pauses: How long to wait.
        attempts: How often to try; None for no limit but the caller's own deadline.
        sleep: Waits so many seconds.

    Returns:
        What the attempt that succeeded has returned.

    Raises:
        DeploymentSenderError: Of the last attempt.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except DeploymentSenderError as error:
            failures += 1
            if not error.retry or failures == attempts:
                raise
            seconds = pauses.after(failures, error.retry_after)
            on_wait(error, seconds)
        await sleep(seconds)

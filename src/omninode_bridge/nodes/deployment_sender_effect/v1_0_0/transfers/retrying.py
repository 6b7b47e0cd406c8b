"""Retries with pauses that grow and have a random part, so that many senders do not return at the same moment."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import OperationError

__all__ = ["Pauses", "retrying"]

T = TypeVar("T")

_GROWTHS_MAX = 64  # beyond any longest pause, and below where a float overflows
_random = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long to wait before each further attempt.

    Attributes:
        first_seconds: After the first failure.
        growth: The factor from one pause to the next.
        longest_seconds: The upper limit.
        spread_seconds: The most that is added to a pause that the other side requested.
    """

    first_seconds: float = 0.25
    growth: float = 2.0
    longest_seconds: float = 30.0
    spread_seconds: float = 1.0

    def after(self, failures: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait: from half the pause to all of it, or what was requested plus a random part.

        Args:
            failures: How many attempts have failed, at least 1.
            retry_after: Seconds that the other side requested.
        """
        if retry_after is not None:
            return retry_after + _random.uniform(0, self.spread_seconds)
        pause = self.first_seconds * self.growth ** min(failures - 1, _GROWTHS_MAX)
        return min(pause, self.longest_seconds) * _random.uniform(0.5, 1)


async def retrying(
    attempt: Callable[[], Awaitable[T]],
    on_wait: Callable[[OperationError, float], None],
    *,
    pauses: Pauses,
    attempts: int | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Call until it succeeds, or fails with an error that is not worth a retry.

    Args:
        attempt: The call.
        on_wait: Called with each error that is worth a retry, and the seconds until the next attempt.
        pauses: How long to wait.
        attempts: How many at most; None for no limit but the caller's own deadline.
        sleep: Waits that many seconds.

    Returns:
        The result of the successful attempt.

    Raises:
        OperationError: Of the last attempt.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except OperationError as error:
            failures += 1
            if not error.retry or failures == attempts:
                raise
            seconds = pauses.after(failures, error.retry_after)
            on_wait(error, seconds)
        await sleep(seconds)

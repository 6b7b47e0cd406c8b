"""Wait until something holds, where there is no event to wait for; the time-out of the test itself bounds each wait."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["eventually", "eventually_in_thread", "eventually_sync"]

_T = TypeVar("_T")
_INTERVAL_SECONDS = 0.005


async def eventually(condition: Callable[[], _T]) -> _T:
    """Wait until a condition holds.

    Args:
        condition: Called on the event loop again and again; it must not block.

    Returns:
        The first true value that the condition returned.
    """
    while not (value := condition()):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(_INTERVAL_SECONDS)
    return value


async def eventually_in_thread(condition: Callable[[], _T]) -> _T:
    """Wait until a condition holds that blocks, such as a request to the engine.

    Args:
        condition: Called in a thread again and again.

    Returns:
        The first true value that the condition returned.
    """
    while not (value := await asyncio.to_thread(condition)):  # noqa: ASYNC110 - as above
        await asyncio.sleep(_INTERVAL_SECONDS)
    return value


def eventually_sync(condition: Callable[[], _T]) -> _T:
    """Wait until a condition holds, where no event loop runs.

    Args:
        condition: Called again and again.

    Returns:
        The first true value that the condition returned.
    """
    while not (value := condition()):
        time.sleep(_INTERVAL_SECONDS)
    return value

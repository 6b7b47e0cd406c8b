"""Two ways to wait: until a deadline of our own, and for a thread to its end whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from ..clients.ends import ended, in_own_thread

__all__ = ["deadline", "to_its_end"]

T = TypeVar("T")


@asynccontextmanager
async def deadline(seconds: float, late: Callable[[], Exception]) -> AsyncIterator[None]:
    """Cancel the body after some seconds and raise what `late` makes instead."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise late() from exc


async def to_its_end(work: Callable[..., T], *args: object, stop: Callable[[], None] = lambda: None) -> T:
    """Run blocking work in a thread of its own; if cancelled, tell it to stop, and still wait until it is out of it.

    Args:
        work: What to run.
        args: Its arguments.
        stop: Called at each cancellation.
    """
    running = in_own_thread(partial(work, *args), "deployment-sender")
    try:
        await ended({running}, stop)
    except asyncio.CancelledError:
        if not running.cancelled():
            running.exception()  # heard, so that asyncio does not complain that nobody asked
        raise
    return running.result()

"""Ways to wait: until a deadline of our own, for a turn, and for a thread to its end whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from ..clients.ends import ended, in_own_thread

__all__ = ["Turn", "deadline", "to_its_end"]

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


class Turn:
    """One of a few turns, for the length of a `with` block; given to others while its holder only waits.

    Args:
        turns: How many there are.
    """

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._held = False

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held:
            self._turns.release()

    async def sleep(self, seconds: float) -> None:
        """Wait so long without it, and then for the next one that is free."""
        self._held = False
        self._turns.release()
        await asyncio.sleep(seconds)
        await self._take()

    async def _take(self) -> None:
        await self._turns.acquire()
        self._held = True


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

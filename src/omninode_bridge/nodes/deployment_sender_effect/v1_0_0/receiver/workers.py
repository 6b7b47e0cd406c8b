"""Threads for what would block the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from ..clients.ends import ended

__all__ = ["Workers", "settled"]

P = ParamSpec("P")
T = TypeVar("T")


async def settled(work: asyncio.Future[T]) -> T:
    """Await work that cannot be stopped: a cancellation comes out once the work has ended, and not before."""
    await ended([work])
    return work.result()


class Workers:
    """A few threads of the receiver's own, so that nobody else's long work holds up an upload.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deployment-receiver")

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start a call in a thread."""
        return asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread and wait for its end, also when cancelled."""
        return await settled(self.begin(function, *args, **kwargs))

    async def close(self) -> None:
        """Wait until every thread has ended."""
        await asyncio.to_thread(self._pool.shutdown)

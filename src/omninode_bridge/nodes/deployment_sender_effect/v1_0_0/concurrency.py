"""Threads, deadlines and turns that are safe under cancellation (docs/adr/0004).

One module for all blocking work: asyncio's default executor has few threads and is left to name resolution. anyio's
shield does not hold a native `task.cancel()`, so its threads would be left behind where ours are waited for.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

__all__ = [
    "ThreadPool",
    "Turn",
    "deadline",
    "result_when_done",
    "retrieve_exception",
    "run_in_thread",
    "start_in_thread",
    "wait_until_done",
]

P = ParamSpec("P")
T = TypeVar("T")


async def wait_until_done(futures: Collection[asyncio.Future[T]], stop: Callable[[], None] = lambda: None) -> None:
    """Wait for all futures, even if cancelled meanwhile; the cancellation is raised afterwards.

    Args:
        futures: What to wait for; the caller reads their results.
        stop: Called at each cancellation.
    """
    cancelled: asyncio.CancelledError | None = None
    while any(not future.done() for future in futures):
        try:
            await asyncio.wait(futures)
        except asyncio.CancelledError as exc:
            cancelled = exc
            stop()
    if cancelled is not None:
        raise cancelled


async def result_when_done(work: asyncio.Future[T]) -> T:
    """Return the result of work that cannot be stopped; a cancellation is raised once the work has ended."""
    await wait_until_done([work])
    return work.result()


def retrieve_exception(future: asyncio.Future[T]) -> None:
    """Mark the exception of a future that nobody awaits as seen; otherwise asyncio logs it as never retrieved."""
    if future.done() and not future.cancelled():
        future.exception()


def start_in_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start long work in a thread of its own, so that no short work of the loop's executor waits behind it.

    Cancelling the future leaves the thread running; it ends with its work, or with the program.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # from now on only the waiting is cancelled

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            result.set_exception(exc)

    threading.Thread(target=run, name=name, daemon=True).start()
    return asyncio.wrap_future(result)


async def run_in_thread(work: Callable[..., T], *args: object, stop: Callable[[], None] = lambda: None) -> T:
    """Run blocking work in a thread. On cancellation call `stop`, wait for the thread, then re-raise.

    Args:
        work: What to run.
        args: Its arguments.
        stop: Called at each cancellation.
    """
    running = start_in_thread(partial(work, *args), "deployment-sender")
    try:
        await wait_until_done({running}, stop)
    except asyncio.CancelledError:
        retrieve_exception(running)
        raise
    return running.result()


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
    """One of a limited number of turns, for the length of a `with` block; released while its holder only waits.

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
        """Release the turn, wait so long, then wait for the next free turn."""
        self._held = False
        self._turns.release()
        await asyncio.sleep(seconds)
        await self._take()

    async def _take(self) -> None:
        await self._turns.acquire()
        self._held = True


class ThreadPool:
    """A few threads with one owner, so that no other owner's long work delays it.

    Args:
        threads: How many.
        name: The prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str = "deployment-receiver") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start a call in a thread."""
        return asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread and wait until it is done, also when cancelled."""
        return await result_when_done(self.begin(function, *args, **kwargs))

    async def close(self) -> None:
        """Wait until every thread has ended."""
        await asyncio.to_thread(self._pool.shutdown)

"""Threads, deadlines and turns that are safe under cancellation (docs/adr/0004).

All blocking work goes through this module: asyncio's default executor has few threads, and is left to name resolution.
anyio is no alternative: its shield does not stop a native `task.cancel()`, which would leave threads running behind.
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
    """Wait for all futures, even if cancelled; the cancellation is raised afterwards.

    Args:
        futures: Their results are left to the caller.
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


def retrieve_exception(future: asyncio.Future[T]) -> None:
    """Mark the exception of a future that nobody awaits as seen; otherwise asyncio logs it as never retrieved."""
    if future.done() and not future.cancelled():
        future.exception()


async def result_when_done(work: asyncio.Future[T], stop: Callable[[], None] = lambda: None) -> T:
    """Return the result of work in progress; a cancellation is raised once the work has ended.

    Args:
        work: Goes on when its caller is cancelled.
        stop: Called at each cancellation; makes the work end early.
    """
    try:
        await wait_until_done([work], stop)
    except asyncio.CancelledError:
        retrieve_exception(work)
        raise
    return work.result()


def start_in_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start blocking work in its own thread, so that no other work waits for it.

    Cancelling the future does not stop the thread, which ends with its work or with the program.

    Args:
        work: The function to call.
        name: Of the thread.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()  # from now on it cannot be cancelled, only the future around it

    def run() -> None:
        try:
            result.set_result(work())
        except Exception as exc:  # noqa: BLE001 - raised where the result is awaited
            result.set_exception(exc)

    threading.Thread(target=run, name=name, daemon=True).start()
    return asyncio.wrap_future(result)


async def run_in_thread(work: Callable[..., T], *args: object, stop: Callable[[], None] = lambda: None) -> T:
    """Run blocking work in a thread. On cancellation call `stop`, wait for the thread, then re-raise.

    Args:
        work: The function to call.
        args: Its arguments.
        stop: Called at each cancellation; makes the work end early.
    """
    return await result_when_done(start_in_thread(partial(work, *args), "deployment-sender"), stop)


@asynccontextmanager
async def deadline(seconds: float, late: Callable[[], Exception]) -> AsyncIterator[None]:
    """Cancel the body after a time.

    Args:
        seconds: The time.
        late: Makes the exception to raise then.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as exc:
        if not limit.expired():
            raise
        raise late() from exc


class Turn:
    """One of a limited number of turns, held during a `with` block and released during `sleep`.

    Args:
        turns: Counts the free turns.
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
        """Release the turn, wait for some seconds, then wait for a free turn."""
        self._held = False
        self._turns.release()
        await asyncio.sleep(seconds)
        await self._take()

    async def _take(self) -> None:
        await self._turns.acquire()
        self._held = True


class ThreadPool:
    """A fixed number of threads for one kind of work, so that no other kind delays it.

    Args:
        threads: Their number.
        name: The prefix of their names.
    """

    def __init__(self, threads: int, name: str = "deployment-receiver") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start a call in a thread; its result is that of the future."""
        return asyncio.wrap_future(self._pool.submit(function, *args, **kwargs))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread and return the result; a cancellation is raised once the call has ended."""
        return await result_when_done(self.begin(function, *args, **kwargs))

    async def close(self) -> None:
        """Wait until every thread has ended."""
        await run_in_thread(self._pool.shutdown)

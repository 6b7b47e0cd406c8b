"""The threads in which calls to the engine run."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from ...concurrency import retrieve_exception, wait_until_done
from ...errors import OperationError
from .call import Call
from .errors import engine_closed

__all__ = ["EngineThreads"]

T = TypeVar("T")

# Threads are started when needed and kept; further calls wait for a free one. Several times what a node and a receiver
# use at once (one call for each deployment that is in work, and one for each service that is watched).
_MAX_THREADS = 32


class EngineThreads:
    """Runs calls in threads of its own: asyncio's default executor has few, and name resolution needs them."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="docker-engine")
        self._running: dict[Call, asyncio.Future[Any]] = {}
        self._closed = False

    async def run(
        self, call: Call, work: Callable[[], T], seconds: float | None, timed_out: Callable[[], OperationError]
    ) -> T:
        """Run `work` in a thread; when this returns or raises, the work has ended.

        Args:
            call: What `work` waits with.
            work: Any function of which every wait ends when `call` is aborted.
            seconds: The deadline; None for none.
            timed_out: Makes the error to raise after the deadline.

        Raises:
            EngineUnavailableError: The threads were closed, before or meanwhile.
            OperationError: The one that `timed_out` makes.
        """
        with self._submitted(call, work) as (future, outcome):
            try:
                await asyncio.wait((outcome,), timeout=seconds)
                if not outcome.done():
                    await _abort_and_wait(call, future, outcome)
                    raise timed_out()
            except asyncio.CancelledError:
                await _abort_and_wait(call, future, outcome)
                raise
            if call.aborted and outcome.exception():
                raise engine_closed() from None
            return outcome.result()

    @contextmanager
    def _submitted(self, call: Call, work: Callable[[], T]) -> Iterator[tuple[Future[T], asyncio.Future[T]]]:
        if self._closed:
            raise engine_closed()
        future = self._executor.submit(_run_and_close, call, work)
        outcome = asyncio.wrap_future(future)
        self._running[call] = outcome
        try:
            yield future, outcome
        finally:
            del self._running[call]

    async def close(self) -> None:
        """Abort what runs and end the threads; twice is safe."""
        self._closed = True
        for call in self._running:
            call.abort()
        try:
            await wait_until_done(tuple(self._running.values()))
        finally:  # also when cancelled: nothing else would end the threads
            await wait_until_done((asyncio.ensure_future(asyncio.to_thread(self._executor.shutdown)),))


def _run_and_close(call: Call, work: Callable[[], T]) -> T:
    try:
        call.raise_if_aborted()
        return work()
    except StopIteration as exc:
        # A future cannot carry it: asyncio would wait for ever (PEP 479 does the same to generators).
        raise RuntimeError("StopIteration came out of a call to the Docker Engine") from exc
    finally:
        call.close()


async def _abort_and_wait(call: Call, future: Future[T], outcome: asyncio.Future[T]) -> None:
    """Abort the call and wait until its thread is free, even if cancelled again meanwhile."""
    future.cancel()  # while it waits for a thread, nothing else is needed
    call.abort()
    await wait_until_done((outcome,))
    retrieve_exception(outcome)

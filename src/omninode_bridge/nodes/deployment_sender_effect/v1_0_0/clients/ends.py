"""Work that cannot be stopped: a thread for it, and waiting for it."""

import asyncio
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["ended", "in_own_thread"]

T = TypeVar("T")


def in_own_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Start long work in a thread of its own, which no short work of the loop's executor waits behind.

    Cancelling the future leaves the thread behind; it ends with its work, or with the program.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # from now on only the waiting is cancelled

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as exc:  # noqa: BLE001 - raised where it is waited for
            answer.set_exception(exc)

    threading.Thread(target=run, name=name, daemon=True).start()
    return asyncio.wrap_future(answer)


async def ended(futures: Collection[asyncio.Future[T]], stop: Callable[[], None] = lambda: None) -> None:
    """Wait for all, even if cancelled meanwhile; a cancellation comes out afterwards.

    Args:
        futures: What is waited for; their results are the caller's to ask for.
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

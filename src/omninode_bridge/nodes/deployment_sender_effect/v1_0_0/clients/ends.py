"""Waiting for what cannot be stopped."""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

__all__ = ["ended"]

T = TypeVar("T")


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

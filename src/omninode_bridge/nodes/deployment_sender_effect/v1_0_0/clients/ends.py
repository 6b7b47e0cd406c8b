"""Waiting for what cannot be stopped."""

import asyncio
from collections.abc import Collection
from typing import TypeVar

__all__ = ["ended"]

T = TypeVar("T")


async def ended(futures: Collection[asyncio.Future[T]]) -> None:
    """Wait for all, even if cancelled meanwhile; a cancellation comes out afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while any(not future.done() for future in futures):
        try:
            await asyncio.wait(futures)
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        raise cancelled

"""Work that the receiver repeats in the background, whatever errors it meets."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

__all__ = ["PeriodicTask"]

_log = logging.getLogger(__name__)


class PeriodicTask:
    """Does work at intervals until it is closed.

    Args:
        work: Called again `interval_seconds` after its end; it handles the errors that it expects.
        interval_seconds: Between the end of one call and the next call.
        name: Of the task, and in the log: `watching containers`, for example.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], interval_seconds: float, name: str) -> None:
        self._work = work
        self._interval_seconds = interval_seconds
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; the first call comes at once."""
        self._task = asyncio.create_task(self._repeat(), name=self._name)

    async def close(self) -> None:
        """Cancel the work under way and wait until it has ended; calling it twice, or without a start, is safe."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _repeat(self) -> None:
        while True:
            try:
                await self._work()
            except Exception:  # noqa: BLE001 - an unexpected error must not end the repetition
                _log.exception("unexpected error while %s", self._name)
            await asyncio.sleep(self._interval_seconds)

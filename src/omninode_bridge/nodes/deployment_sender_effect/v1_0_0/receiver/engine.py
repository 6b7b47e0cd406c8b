"""The receiver's engine: opened when it is first needed, and waited for while it does not respond."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from ..concurrency import retrieve_exception
from ..errors import OperationError
from ..ports import ContainerEngine

__all__ = ["PAUSES_SECONDS", "SharedEngine"]

_log = logging.getLogger(__name__)

# Between two requests to an engine that does not respond; the last one is repeated. A restart of an engine takes some
# seconds, and half a minute more does not matter after an outage of minutes.
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class SharedEngine:
    """One engine for every part of the receiver.

    Args:
        open_engine: Opens it; raises `EngineUnavailableError` if it does not respond.
        pauses_seconds: Between two requests to an engine that does not respond; the last one is repeated.
    """

    def __init__(
        self, open_engine: Callable[[], Awaitable[ContainerEngine]], pauses_seconds: Sequence[float] = PAUSES_SECONDS
    ) -> None:
        self._open_engine = open_engine
        self.pauses_seconds = pauses_seconds
        self._engine: ContainerEngine | None = None
        self._lock = asyncio.Lock()
        self._ping: asyncio.Task[ContainerEngine] | None = None
        self._reported: str | None = None

    async def open(self) -> ContainerEngine:
        """Return the engine, which has responded at least once.

        Raises:
            OperationError: It cannot be opened.
        """
        async with self._lock:
            if self._engine is None:
                self._engine = await self._open_engine()
            return self._engine

    async def available(self) -> ContainerEngine:
        """Return the engine if it responds now; callers at the same time share one request.

        Raises:
            EngineUnavailableError: It does not respond.
            OperationError: It cannot be opened.
        """
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._check(), name="pinging the engine")
            self._ping.add_done_callback(retrieve_exception)
        return await asyncio.shield(self._ping)

    async def wait_until_available(
        self, on_unavailable: Callable[[OperationError], Awaitable[None]]
    ) -> ContainerEngine:
        """Return the engine as soon as it responds, however long that takes.

        An engine that cannot be opened because of a setting is waited for, too: the deployments that wait are continued
        by the next start of the receiver, which may have another setting.

        Args:
            on_unavailable: Called with the reason, after each request.
        """
        attempts = 0
        while True:
            try:
                return await self.available()
            except OperationError as exc:
                await on_unavailable(exc)
            await asyncio.sleep(self.pauses_seconds[min(attempts, len(self.pauses_seconds) - 1)])
            attempts += 1

    async def close(self) -> None:
        """Close it; calling it twice is safe."""
        if self._ping is not None:
            self._ping.cancel()
            await asyncio.wait([self._ping])
        if self._engine is not None:
            await self._engine.close()

    async def _check(self) -> ContainerEngine:
        try:
            engine = await self.open()
            await engine.ping()
        except OperationError as exc:
            if self._reported != exc.message:
                _log.warning("the engine is unavailable: %s", exc.message)
            self._reported = exc.message
            raise
        self._reported = None
        return engine

"""The receiver's engine: opened when it is first needed, and waited for as long as it does not answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from ..errors import DeploymentSenderError
from ..ports import ContainerEngine, ImageStore
from .deployments.records import Deployment

__all__ = ["PAUSES_SECONDS", "Engine", "has_image"]

_log = logging.getLogger(__name__)

# Between two questions to an engine that does not answer; the last one again and again.
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class Engine:
    """One engine for every part of the receiver.

    Args:
        open_engine: Opens it; raises `DOCKER_UNAVAILABLE` if it does not answer.
        pauses_seconds: Between two questions to an engine that does not answer; the last one again and again.
    """

    def __init__(
        self, open_engine: Callable[[], Awaitable[ContainerEngine]], pauses_seconds: Sequence[float] = PAUSES_SECONDS
    ) -> None:
        self._open_engine = open_engine
        self.pauses_seconds = pauses_seconds
        self._engine: ContainerEngine | None = None
        self._lock = asyncio.Lock()
        self._question: asyncio.Task[ContainerEngine] | None = None
        self._trouble: str | None = None

    async def opened(self) -> ContainerEngine:
        """Return the engine, which has answered at least once. What opening it raises."""
        async with self._lock:
            if self._engine is None:
                self._engine = await self._open_engine()
            return self._engine

    async def answering(self) -> ContainerEngine:
        """Return the engine if it answers now; who asks meanwhile shares the question.

        Raises:
            DeploymentSenderError: `DOCKER_UNAVAILABLE`, and what opening it raises.
        """
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask(), name="asking the engine")
            self._question.add_done_callback(_retrieved)
        return await asyncio.shield(self._question)

    async def awaited(self, on_absent: Callable[[DeploymentSenderError], Awaitable[None]]) -> ContainerEngine:
        """Return the engine as soon as it answers, however long that takes.

        An engine that cannot be opened as things are is waited for, too: the next start may be told another one.

        Args:
            on_absent: Told why it does not answer, each time that it was asked.
        """
        asked = 0
        while True:
            try:
                return await self.answering()
            except DeploymentSenderError as exc:
                await on_absent(exc)
            await asyncio.sleep(self.pauses_seconds[min(asked, len(self.pauses_seconds) - 1)])
            asked += 1

    async def close(self) -> None:
        """Close it; twice is safe."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait([self._question])
        if self._engine is not None:
            await self._engine.close()

    async def _ask(self) -> ContainerEngine:
        try:
            engine = await self.opened()
            await engine.ping()
        except DeploymentSenderError as exc:
            if self._trouble != exc.message:
                _log.warning("the engine cannot be used for now: %s", exc.message)
            self._trouble = exc.message
            raise
        self._trouble = None
        return engine


async def has_image(engine: ImageStore, deployment: Deployment) -> bool:
    """Whether a deployment's name and tag lead to the image that was loaded for it. What the engine raises."""
    facts = await engine.inspect(deployment.reference)
    return facts is not None and facts.image_id == deployment.image_id


def _retrieved(question: asyncio.Task[ContainerEngine]) -> None:
    """Have asyncio not complain of an error that nobody was left to hear."""
    if not question.cancelled():
        question.exception()

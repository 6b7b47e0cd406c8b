"""Checks at intervals that the engine still has the loaded images under their names, and records where it has not."""

import logging

from ...errors import OperationError
from ...ports import ContainerEngine
from ..engine import SharedEngine
from ..limits import RECONCILE_EVERY_SECONDS
from ..state import ReceiverState
from .failures import loss
from .image_loader import has_image
from .periodic import PeriodicTask
from .record import Deployment

__all__ = ["ImageWatcher"]

_log = logging.getLogger(__name__)


class ImageWatcher:
    """Compares the deployments with the status `loaded` with the engine, in the background.

    The containers of those with the status `running` are the subject of container_watcher.py.

    Args:
        state: The receiver's settings, threads and deployments.
        engine: Has the images.
        interval_seconds: Between two comparisons.
    """

    def __init__(
        self, state: ReceiverState, engine: SharedEngine, *, interval_seconds: float = RECONCILE_EVERY_SECONDS
    ) -> None:
        self._deployments = state.deployments
        self._references = state.references
        self._engine = engine
        self._periodic = PeriodicTask(self._watch, interval_seconds, "comparing the loaded images with the engine")

    def start(self) -> None:
        """Begin to compare, as soon as the engine responds."""
        self._periodic.start()

    async def close(self) -> None:
        """Stop comparing; calling it twice is safe."""
        await self._periodic.close()

    async def compare(self, engine: ContainerEngine) -> None:
        """Compare every loaded image once.

        Raises:
            EngineUnavailableError: The engine does not respond.
            EngineRefusedError: The engine responded with an error.
        """
        for deployment in self._deployments.finished_as("loaded"):
            async with self._references.of(deployment.reference):
                if not await has_image(engine, deployment):
                    await self._record_loss(deployment)

    async def _record_loss(self, deployment: Deployment) -> None:
        if self._deployments.get(deployment.deployment_id) != deployment:
            return  # its package has arrived again, or it was replaced, while the engine was asked
        message = f"the image {deployment.reference} was removed, or its name was given to another image"
        await self._deployments.change(deployment.deployment_id, **loss(message))

    async def _watch(self) -> None:
        if not self._deployments.finished_as("loaded"):
            return
        try:
            await self.compare(await self._engine.wait_until_available(_ignore))
        except OperationError as exc:
            _log.warning("the loaded images could not be compared with the engine: %s", exc.message)


async def _ignore(_: OperationError) -> None:
    """Do nothing about an engine that is unavailable: `SharedEngine` logs it."""

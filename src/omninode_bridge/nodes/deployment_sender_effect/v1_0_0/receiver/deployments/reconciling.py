"""Compares what the records say with what the engine has, and has them say that."""

import asyncio
import logging
from contextlib import suppress

from ...errors import DeploymentSenderError, ErrorCode
from ...ports import ContainerEngine
from ..engine import Engine, has_image
from ..limits import ENGINE_SECONDS, LOOK_EVERY_SECONDS
from ..state import ReceiverState
from .records import NO_ERROR, Deployment
from .services import Services

__all__ = ["Reconciler"]

_log = logging.getLogger(__name__)


class Reconciler:
    """Looks at the engine, in the background and when somebody asks.

    Args:
        shared: The receiver's own.
        services: Knows the containers.
        engine: What is looked at.
        look_every_seconds: How long to wait between two looks at everything.
        engine_seconds: How long who asks waits for the engine.
    """

    def __init__(
        self,
        shared: ReceiverState,
        services: Services,
        engine: Engine,
        *,
        look_every_seconds: float = LOOK_EVERY_SECONDS,
        engine_seconds: float = ENGINE_SECONDS,
    ) -> None:
        self._settings = shared.settings
        self._deployments = shared.deployments
        self._references = shared.references
        self._containers = shared.containers
        self._services = services
        self._engine = engine
        self._look_every_seconds = look_every_seconds
        self._engine_seconds = engine_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, as soon as the engine answers and then again and again."""
        self._task = asyncio.create_task(self._look_again_and_again(), name="comparing records and engine")

    async def close(self) -> None:
        """End that; twice is safe."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def serves(self, deployment: Deployment) -> bool:
        """Whether a deployment has ended as it should today, and the engine says so, too.

        False also where the engine does not say so in time.
        """
        with suppress(DeploymentSenderError, TimeoutError):
            async with asyncio.timeout(self._engine_seconds):
                engine = await self._engine.answering()
                if deployment.status == "running":
                    runs = await self._services.runs(engine, deployment)
                    return runs is True and await has_image(engine, deployment)
                if deployment.status == "loaded" and not self._settings.run:
                    return await has_image(engine, deployment)
        return False

    async def look(self, engine: ContainerEngine) -> None:
        """Compare every deployment that has ended as `loaded` or `running`.

        Raises:
            DeploymentSenderError: What the engine raises.
        """
        for deployment in self._deployments.overtaken():
            await self._deployments.change(deployment.deployment_id, status="replaced", **NO_ERROR)
        for deployment in self._deployments.ended_as("running"):
            async with self._containers.of(deployment.container_name):
                if await self._services.runs(engine, deployment) is None:
                    await self._gone(deployment, "its container is gone: somebody has removed it")
        for deployment in self._deployments.ended_as("loaded"):
            async with self._references.of(deployment.reference):
                if not await has_image(engine, deployment):
                    reference = deployment.reference
                    await self._gone(deployment, f"somebody has removed {reference} or named another image so")

    async def _gone(self, deployment: Deployment, message: str) -> None:
        if self._deployments.get(deployment.deployment_id) != deployment:
            return  # its package has arrived again, or its place was taken, while the engine was asked
        error = {"error_code": ErrorCode.BUILD_FAILED.value, "error_message": message}
        await self._deployments.change(deployment.deployment_id, status="failed", **error)

    async def _look_again_and_again(self) -> None:
        async def wait(_: DeploymentSenderError) -> None:
            return

        while True:
            try:
                if self._deployments.ended_as("loaded") or self._deployments.ended_as("running"):
                    await self.look(await self._engine.awaited(wait))
            except DeploymentSenderError as exc:
                _log.warning("the records could not be compared with the engine: %s", exc.message)
            except Exception:  # noqa: BLE001 - one thing that nobody has thought of must not end the looking
                _log.exception("unexpected while comparing the records with the engine")
            await asyncio.sleep(self._look_every_seconds)

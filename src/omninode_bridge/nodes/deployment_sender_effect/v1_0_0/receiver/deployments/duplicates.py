"""Decides what is done with a package that arrives again: nothing, deploy it again, or store it again."""

import asyncio
from contextlib import suppress

from ...errors import InvalidInputError, OperationError
from ...protocol.form import UploadFields
from ..engine import SharedEngine
from ..limits import ENGINE_SECONDS
from ..state import ReceiverState
from .deployer import Deployer
from .failures import NO_ERROR, is_package_damaged
from .image_loader import has_image
from .record import Deployment

__all__ = ["DuplicateUploads", "PackageConflictError"]


class PackageConflictError(InvalidInputError):
    """Another package has this id."""


class DuplicateUploads:
    """Finds packages that were stored before, and deploys them again unless they are still in effect.

    Args:
        state: The receiver's settings, threads and deployments.
        deployer: Deploys again.
        engine: Has the images and containers of earlier deployments.
        engine_seconds: How long an upload waits for the engine.
    """

    def __init__(
        self, state: ReceiverState, deployer: Deployer, engine: SharedEngine, *, engine_seconds: float = ENGINE_SECONDS
    ) -> None:
        self._settings = state.settings
        self._deployments = state.deployments
        self._workers = state.workers
        self._deployer = deployer
        self._engine = engine
        self._engine_seconds = engine_seconds

    async def find(self, fields: UploadFields) -> Deployment | None:
        """Return the deployment of an announced package that was stored before; callers hold the package's lock.

        It is deployed again, as the latest of its image name, unless that is under way or is still in effect.

        Args:
            fields: What the sender announced.

        Returns:
            None if the package is to be stored: it is not here, or its file is damaged or missing.

        Raises:
            PackageConflictError: Another package has this id.
        """
        known = self._deployments.of_package(fields.package_id)
        if known is None or is_package_damaged(known):
            return None
        if known.identity.checksum != fields.checksum:
            raise PackageConflictError(
                f"package {fields.package_id} is here already, with another checksum",
                recovery="Package the image again: each package has an id of its own.",
            )
        if not await self._workers.run(self._deployments.has_package, known):
            return None
        return await self._deploy_again(known)

    async def is_in_effect(self, deployment: Deployment) -> bool:
        """Return whether a deployment has the status that it would have today, and the engine confirms it.

        False also where the engine does not respond in time.
        """
        with suppress(OperationError, TimeoutError):
            async with asyncio.timeout(self._engine_seconds):
                engine = await self._engine.available()
                if deployment.status == "running":
                    is_running = await self._deployer.services.is_running(engine, deployment)
                    return is_running is True and await has_image(engine, deployment)
                if deployment.status == "loaded" and not self._settings.run:
                    return await has_image(engine, deployment)
        return False

    async def _deploy_again(self, known: Deployment) -> Deployment:
        if not known.finished:
            return known if self._deployments.is_latest(known) else await self._make_latest(known)
        if await self.is_in_effect(known):
            return known
        again = await self._make_latest(known, status="received", container_id=None, **NO_ERROR)
        self._deployer.submit(again)
        return again

    async def _make_latest(self, known: Deployment, **changes: object) -> Deployment:
        sequence = self._deployments.next_sequence()
        return await self._deployments.change(known.deployment_id, sequence=sequence, **changes)

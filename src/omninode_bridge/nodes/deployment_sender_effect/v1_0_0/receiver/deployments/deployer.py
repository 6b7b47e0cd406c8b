"""Deploys stored packages in the background: loads their images, and starts their containers.

Several packages of one image name may be deployed at once. Loads run in parallel, except those of the same name and
tag; starts of the same container wait for each other. A deployment whose turn comes when a later one has taken its
place ends as `replaced`, so that the package that arrived last takes precedence, however long each takes
(docs/adr/0015).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from ...errors import EngineUnavailableError, OperationError
from ...image.docker_archive import ImageArchive
from ...ports import ContainerEngine
from ...telemetry.metrics import Span
from ..engine import SharedEngine
from ..limits import LOADS_AT_ONCE
from ..state import ReceiverState
from .failures import NO_ERROR, LoadTimeoutError, failure, is_unexpected, waiting
from .image_loader import ImageLoader, has_image
from .packages import Packages
from .record import Deployment
from .services import Services

__all__ = ["Deployer"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Deployer:
    """Takes stored packages to their last status: `loaded`, `running`, `replaced` or `failed`.

    Args:
        state: The receiver's settings, threads and deployments.
        packages: Reads stored packages.
        engine: Loads images and runs containers.

    Attributes:
        services: Starts and replaces the containers.
    """

    def __init__(self, state: ReceiverState, packages: Packages, engine: SharedEngine) -> None:
        self.services = Services(state)
        self._settings = state.settings
        self._packages = packages
        self._loader = ImageLoader(state.deployments, packages)
        self._deployments = state.deployments
        self._metrics = state.metrics
        self._engine = engine
        self._slots = asyncio.Semaphore(LOADS_AT_ONCE)
        self._references = state.references
        self._containers = state.containers
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Continue the deployments that the last stop of the receiver interrupted."""
        for deployment in self._deployments.unfinished():
            _log.info("%s: continuing the deployment of %s", deployment.deployment_id, deployment.reference)
            self.submit(deployment)

    def submit(self, deployment: Deployment, checked: ImageArchive | None = None) -> None:
        """Load an image as soon as its turn comes, and start its container if the receiver is set to do so.

        Args:
            deployment: Its package is stored.
            checked: The content of the package, if it was checked already.
        """
        task = asyncio.create_task(self._deploy(deployment, checked), name=f"deployment {deployment.deployment_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the deployments under way; the next start continues them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deploy(self, deployment: Deployment, checked: ImageArchive | None) -> None:
        try:
            if deployment.loaded_image_id is None:  # a wrong package is found without an engine
                checked = checked or await self._check(deployment)
            image_id = await self._with_engine(deployment, partial(self._load, deployment, checked))
            if image_id is not None:
                await self._with_engine(deployment, partial(self._start, deployment, image_id))
        except Exception as exc:  # noqa: BLE001 - after any error the record must not stay at `loading`
            await self._fail(deployment, exc)

    async def _with_engine(self, deployment: Deployment, step: Callable[[ContainerEngine], Awaitable[T]]) -> T:
        """Do a step once the engine responds, and repeat it a few times if the engine goes away meanwhile.

        Waiting for the engine is not limited, the number of attempts is: a step that fails each time although the
        engine responds would fail for ever.
        """
        postpone = partial(self._postpone, deployment)
        for seconds in self._engine.pauses_seconds:
            engine = await self._engine.wait_until_available(postpone)
            try:
                return await step(engine)
            except EngineUnavailableError as exc:
                await postpone(exc)
            await asyncio.sleep(seconds)
        return await step(await self._engine.wait_until_available(postpone))

    async def _load(self, deployment: Deployment, checked: ImageArchive | None, engine: ContainerEngine) -> str | None:
        """Load an image; return the engine's id of it if its container is to be started."""
        async with self._references.of(deployment.reference), self._slots:
            now = self._current(deployment)
            if self._deployments.has_later_image(now):
                await self._mark_replaced(now)
                return None
            image_id = now.loaded_image_id
            if image_id is None or not await has_image(engine, now):
                await self._deployments.change(now.deployment_id, status="loading", **NO_ERROR)
                image_id = await self._load_in_time(now, checked, engine)
            run = self._settings.run
            await self._advance(now, status="loaded", loaded_image_id=image_id, start_pending=run)
            return image_id if run else None

    async def _load_in_time(self, deployment: Deployment, checked: ImageArchive | None, engine: ContainerEngine) -> str:
        seconds, span = self._settings.load_timeout_seconds, Span()
        try:
            async with asyncio.timeout(seconds):
                archive = checked or await self._check(deployment)
                image_id = await self._loader.load(engine, deployment, archive)
        except TimeoutError:
            await self._engine.available()  # an engine that responds to nothing at all is waited for instead
            raise LoadTimeoutError(f"the image was not loaded within {seconds:g} s") from None
        self._metrics.add("loads_succeeded_total")
        self._metrics.observe("load_duration_seconds", span.elapsed_ms / 1000)
        return image_id

    async def _check(self, deployment: Deployment) -> ImageArchive:
        return await self._packages.check(self._deployments.package_file(deployment), deployment)

    async def _start(self, deployment: Deployment, image_id: str, engine: ContainerEngine) -> None:
        async with self._containers.of(deployment.image_name):
            now = self._current(deployment)
            if self._deployments.has_later_container(now):
                await self._mark_replaced(now)
                return
            if now.error_code is not None:
                now = await self._deployments.change(now.deployment_id, **NO_ERROR)
            container_id = await self.services.start(engine, now, image_id)
            self._metrics.add("containers_started_total")
            await self._advance(now, status="running", container_id=container_id, start_pending=False)

    def _current(self, deployment: Deployment) -> Deployment:
        return self._deployments.get(deployment.deployment_id) or deployment

    async def _advance(self, deployment: Deployment, **changes: object) -> None:
        """Record a new status, after marking the deployments that it replaces, so that no two ever have one place."""
        for other in self._deployments.replaced_by(deployment.model_copy(update=changes)):
            await self._mark_replaced(other)
        await self._deployments.change(deployment.deployment_id, **changes, **NO_ERROR)

    async def _mark_replaced(self, deployment: Deployment) -> None:
        await self._deployments.change(deployment.deployment_id, status="replaced", start_pending=False, **NO_ERROR)

    async def _postpone(self, deployment: Deployment, why: OperationError) -> None:
        """Record why a deployment waits, once for each reason."""
        now = self._current(deployment)
        status = "loaded" if now.start_pending else "received"
        if (now.status, now.error_message) != (status, why.message):
            await self._deployments.change(now.deployment_id, status=status, **waiting(why))

    async def _fail(self, deployment: Deployment, exc: Exception) -> None:
        if is_unexpected(exc):
            _log.error("%s: unexpected error", deployment.deployment_id, exc_info=exc)
        self._metrics.add("loads_failed_total")
        changes = failure(exc, hidden_folder=str(self._settings.store_folder))
        await self._deployments.change(deployment.deployment_id, **changes)

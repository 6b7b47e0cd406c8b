"""Brings stored packages to their end in the background: their images are loaded, and their containers started.

Packages of one image name may be under way at once. Loads overlap, but for those of one name and tag; starts of one
container wait for each other. Whoever comes to its turn when a later one has taken its place already ends as
`replaced`, so that the package that arrived last has the last word however long each takes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from ...errors import DeploymentSenderError, ErrorCode
from ...image.docker_archive import ImageArchive
from ...ports import ContainerEngine
from ..engine import Engine, has_image
from ..limits import LOADS_AT_ONCE
from ..state import ReceiverState
from .loading import Loading
from .packages import Packages
from .records import NO_ERROR, Deployment
from .services import Services

__all__ = ["Deployer"]

_log = logging.getLogger(__name__)


class Deployer:
    """Takes stored packages to their end: `loaded`, `running`, `replaced` or `failed`.

    Args:
        shared: The receiver's own.
        packages: Reads them.
        engine: Loads and runs.

    Attributes:
        services: Starts the containers.
    """

    def __init__(self, shared: ReceiverState, packages: Packages, engine: Engine) -> None:
        self.services = Services(shared)
        self._settings = shared.settings
        self._packages = packages
        self._loading = Loading(shared.deployments, packages)
        self._deployments = shared.deployments
        self._counters = shared.counters
        self._engine = engine
        self._slots = asyncio.Semaphore(LOADS_AT_ONCE)
        self._references = shared.references
        self._containers = shared.containers
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take up what an earlier stop has left."""
        for deployment in self._deployments.unfinished():
            _log.info("%s: taken up again: %s", deployment.deployment_id, deployment.reference)
            self.submit(deployment)

    def submit(self, deployment: Deployment, checked: ImageArchive | None = None) -> None:
        """Load an image as soon as its turn comes, and start its container if the receiver does that today.

        Args:
            deployment: Its package is kept.
            checked: What the package holds, if it was read through already.
        """
        task = asyncio.create_task(self._deploy(deployment, checked), name=f"deployment {deployment.deployment_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Break off what is under way, which the next start takes up again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deploy(self, deployment: Deployment, checked: ImageArchive | None) -> None:
        try:
            if deployment.image_id is None:  # what is wrong with a package shows without an engine
                checked = checked or await self._check(deployment)
            await self._with_engine(deployment, partial(self._load, deployment, checked))
            if self._now(deployment).start_pending:
                await self._with_engine(deployment, partial(self._start, deployment))
        except DeploymentSenderError as exc:
            await self._fail(deployment, exc.code, exc.message)
        except TimeoutError:
            seconds = self._settings.load_timeout_seconds
            await self._fail(deployment, ErrorCode.DOCKER_UNAVAILABLE, f"not loaded within {seconds:g} s")
        except OSError as exc:
            await self._fail(deployment, ErrorCode.TRANSFER_FAILED, f"the stored package cannot be read: {exc}")
        except Exception as exc:  # noqa: BLE001 - whatever it is, the deployment must not hang in `loading`
            _log.exception("%s: unexpected", deployment.deployment_id)
            await self._fail(deployment, ErrorCode.TRANSFER_FAILED, f"unexpected in the receiver: {exc!r}")

    async def _with_engine(self, deployment: Deployment, step: Callable[[ContainerEngine], Awaitable[None]]) -> None:
        """Do a step once the engine answers; try it some times more if the engine goes away meanwhile.

        That it is away costs no try: a step that never gets through although its engine answers is given up.
        """
        postpone = partial(self._postpone, deployment)
        for seconds in self._engine.pauses_seconds:
            engine = await self._engine.awaited(postpone)
            try:
                return await step(engine)
            except DeploymentSenderError as exc:
                if exc.code is not ErrorCode.DOCKER_UNAVAILABLE:
                    raise
                await postpone(exc)
            await asyncio.sleep(seconds)
        return await step(await self._engine.awaited(postpone))

    async def _load(self, deployment: Deployment, checked: ImageArchive | None, engine: ContainerEngine) -> None:
        async with self._references.of(deployment.reference), self._slots:
            now = self._now(deployment)
            if self._deployments.is_loaded_over(now):
                await self._end_replaced(now)
                return
            image_id = now.image_id
            if image_id is None or not await has_image(engine, now):
                await self._deployments.change(now.deployment_id, status="loading", **NO_ERROR)
                image_id = await self._loaded(now, checked, engine)
            changes = {"image_id": image_id, "start_pending": self._settings.run}
            await self._arrive(now, status="loaded", **changes)

    async def _loaded(self, deployment: Deployment, checked: ImageArchive | None, engine: ContainerEngine) -> str:
        try:
            async with asyncio.timeout(self._settings.load_timeout_seconds):
                archive = checked or await self._check(deployment)
                image_id = await self._loading.load(engine, deployment, archive)
        except TimeoutError:
            await self._engine.answering()  # one that hangs as a whole is waited for
            raise
        self._counters.add("loads_succeeded_total")
        return image_id

    async def _check(self, deployment: Deployment) -> ImageArchive:
        return await self._packages.check(self._deployments.package_file(deployment), deployment)

    async def _start(self, deployment: Deployment, engine: ContainerEngine) -> None:
        async with self._containers.of(deployment.container_name):
            now = self._now(deployment)
            if self._deployments.is_run_over(now):
                await self._end_replaced(now)
                return
            if now.error_code is not None:
                now = await self._deployments.change(now.deployment_id, **NO_ERROR)
            assert now.image_id is not None  # noqa: S101 - it is loaded
            container_id = await self.services.start(engine, now, now.image_id)
            self._counters.add("containers_started_total")
            await self._arrive(now, status="running", container_id=container_id, start_pending=False)

    def _now(self, deployment: Deployment) -> Deployment:
        return self._deployments.get(deployment.deployment_id) or deployment

    async def _arrive(self, deployment: Deployment, **changes: object) -> None:
        """Record a status that was reached, after those whose place was taken by that: no two ever have one place."""
        for other in self._deployments.replaced_by(deployment.model_copy(update=changes)):
            await self._end_replaced(other)
        await self._deployments.change(deployment.deployment_id, **changes, **NO_ERROR)

    async def _end_replaced(self, deployment: Deployment) -> None:
        await self._deployments.change(deployment.deployment_id, status="replaced", start_pending=False, **NO_ERROR)

    async def _postpone(self, deployment: Deployment, why: DeploymentSenderError) -> None:
        """Say why a deployment does not go on, once for each reason."""
        now = self._now(deployment)
        status = "loaded" if now.start_pending else "received"
        if (now.status, now.error_message) != (status, why.message):
            changes = {"status": status, "error_code": why.code.value, "error_message": why.message}
            await self._deployments.change(now.deployment_id, **changes)

    async def _fail(self, deployment: Deployment, code: ErrorCode, message: str) -> None:
        self._counters.add("loads_failed_total")
        shown = message.replace(str(self._settings.store_folder), "STORE")  # whoever asks need not know where that is
        changes = {"status": "failed", "start_pending": False, "error_code": code.value, "error_message": shown}
        await self._deployments.change(deployment.deployment_id, **changes)

"""Loads the images of stored packages in the background, one of each name at a time, and starts their containers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakValueDictionary

from ..errors import DeploymentSenderError, ErrorCode
from ..pipeline.archive import ImageArchive
from ..ports import ImageEngine
from .deployments import Deployment
from .limits import LOADS_AT_ONCE
from .loading import Loading
from .packages import Packages
from .services import Services
from .shared import Shared
from .watching import Watching

__all__ = ["ImageLoader"]

_log = logging.getLogger(__name__)

# How long to wait for an engine that does not answer, each time anew: a minute in all, enough for its restart.
_PATIENCE_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


class ImageLoader:
    """Takes stored packages to their end: `loaded`, `running` or `failed`.

    Args:
        shared: The receiver's own.
        packages: Reads them.
        open_engine: Opens the engine when the first package is to be loaded.
        patience_seconds: How long to wait before each further try when the engine does not answer.
    """

    def __init__(
        self,
        shared: Shared,
        packages: Packages,
        open_engine: Callable[[], Awaitable[ImageEngine]],
        patience_seconds: Sequence[float] = _PATIENCE_SECONDS,
    ) -> None:
        self._settings = shared.settings
        self._packages = packages
        self._loading = Loading(shared.deployments, packages)
        self._services = Services(shared)
        self._watching = Watching(shared, self._services, self._opened)
        self._deployments = shared.deployments
        self._counters = shared.counters
        self._open_engine = open_engine
        self._patience_seconds = patience_seconds
        self._engine: ImageEngine | None = None
        self._engine_lock = asyncio.Lock()
        self._slots = asyncio.Semaphore(LOADS_AT_ONCE)
        self._names: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take up what an earlier stop has left."""
        for deployment in self._deployments.unfinished():
            _log.info("%s: taken up again: %s", deployment.deployment_id, deployment.reference)
            self.submit(deployment)
        self._watching.start()

    def submit(self, deployment: Deployment, checked: ImageArchive | None = None) -> None:
        """Load an image as soon as its turn comes.

        Args:
            deployment: Its package is kept.
            checked: What the package holds, if it was read through already.
        """
        task = asyncio.create_task(self._deploy(deployment, checked), name=f"deployment {deployment.deployment_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Break off what is under way, which the next start takes up again, and close the engine."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self._watching.close(), return_exceptions=True)
        if self._engine is not None:
            await self._engine.close()

    async def _deploy(self, deployment: Deployment, checked: ImageArchive | None) -> None:
        # Two images of one name must not race for it: the one that arrived last has the last word.
        name = self._names.setdefault(deployment.reference, asyncio.Lock())
        async with name, self._slots:
            try:
                async with asyncio.timeout(self._settings.load_timeout_seconds):
                    await self._load(deployment, checked)
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

    async def _load(self, deployment: Deployment, checked: ImageArchive | None) -> None:
        self._tell(await self._deployments.change(deployment.deployment_id, status="loading"))
        path = self._deployments.package_file(deployment)
        archive = checked or await self._packages.check(path, deployment)
        image_id = await self._patiently(lambda engine: self._loading.load(engine, deployment, archive))
        self._counters.add("loads_succeeded_total")
        self._tell(await self._deployments.change(deployment.deployment_id, status="loaded", image_id=image_id))
        if deployment.will_run:
            container_id = await self._patiently(lambda engine: self._services.start(engine, deployment, image_id))
            self._counters.add("containers_started_total")
            changes = {"status": "running", "container_id": container_id}
            self._tell(await self._deployments.change(deployment.deployment_id, **changes))

    async def _patiently(self, work: Callable[[ImageEngine], Awaitable[str]]) -> str:
        for seconds in self._patience_seconds:
            try:
                return await work(await self._opened())
            except DeploymentSenderError as exc:
                if exc.code is not ErrorCode.DOCKER_UNAVAILABLE:
                    raise
                _log.warning("%s; tried again in %g s", exc.message, seconds)
            await asyncio.sleep(seconds)
        return await work(await self._opened())

    async def _opened(self) -> ImageEngine:
        async with self._engine_lock:
            if self._engine is None:
                self._engine = await self._open_engine()
            return self._engine

    async def _fail(self, deployment: Deployment, code: ErrorCode, message: str) -> None:
        self._counters.add("loads_failed_total")
        told = message.replace(str(self._settings.store_folder), "STORE")  # whoever asks need not know where that is
        changes = {"status": "failed", "error_code": code.value, "error_message": told}
        self._tell(await self._deployments.change(deployment.deployment_id, **changes))

    @staticmethod
    def _tell(deployment: Deployment) -> None:
        why = f": {deployment.error_code}: {deployment.error_message}" if deployment.status == "failed" else ""
        _log.info("%s: %s %s%s", deployment.deployment_id, deployment.reference, deployment.status, why)

"""What a receiver says about itself: `GET /info`."""

import asyncio
import shutil
from datetime import UTC, datetime
from importlib.metadata import version

from ...errors import DeploymentSenderError
from ...protocol.info import EngineBody, InfoBody
from ..engine import SharedEngine
from ..limits import ENGINE_SECONDS
from ..state import ReceiverState

__all__ = ["ReceiverInfoPage"]


class ReceiverInfoPage:
    """Looks at the engine, the disk and the clock.

    Args:
        shared: The receiver's own.
        engine: Its engine.
        own_version: Of the distribution.
        engine_seconds: How long to wait for the engine.
    """

    def __init__(
        self, shared: ReceiverState, engine: SharedEngine, own_version: str, *, engine_seconds: float = ENGINE_SECONDS
    ) -> None:
        self._settings = shared.settings
        self._workers = shared.workers
        self._engine = engine
        self._version = own_version
        self._seconds = engine_seconds

    @classmethod
    async def read(cls, shared: ReceiverState, engine: SharedEngine) -> "ReceiverInfoPage":
        """Make one that knows the distribution's version."""
        return cls(shared, engine, await shared.workers.run(version, "omninode-deployment-sender"))

    async def now(self) -> InfoBody:
        """Return everything as it is now, without waiting long for an engine that does not answer."""
        (engine, engine_error), free_bytes = await asyncio.gather(self._its_engine(), self._free_bytes())
        return InfoBody(
            version=self._version,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            engine=engine,
            engine_error=engine_error,
            free_bytes=free_bytes,
            max_package_bytes=self._settings.max_package_size_bytes,
            will_run=self._settings.run,
        )

    async def _its_engine(self) -> tuple[EngineBody | None, str | None]:
        try:
            async with asyncio.timeout(self._seconds):
                found = await (await self._engine.available()).info()
        except DeploymentSenderError as exc:
            return None, exc.message
        except TimeoutError:
            return None, f"the engine has not answered within {self._seconds:g} s"
        told = EngineBody(
            name=found.name,
            version=found.version,
            store=found.image_store or found.storage_driver,
            os=found.os,
            architecture=found.architecture,
            variant=found.variant,
        )
        return told, None

    async def _free_bytes(self) -> int | None:
        try:
            return (await self._workers.run(shutil.disk_usage, self._settings.store_folder)).free
        except OSError:
            return None

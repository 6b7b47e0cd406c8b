"""The receiver's description of itself: `GET /info`."""

import asyncio
import shutil
from datetime import UTC, datetime
from importlib.metadata import version

from ...errors import OperationError
from ...protocol.info import EngineBody, InfoBody
from ...protocol.version import SUPPORTED_VERSIONS
from ..engine import SharedEngine
from ..limits import ENGINE_SECONDS
from ..state import ReceiverState

__all__ = ["ReceiverInfoPage"]


class ReceiverInfoPage:
    """Describes the receiver: its engine, disk, clock and limits.

    Args:
        state: The receiver's state.
        engine: The receiver's engine.
        own_version: The version of the distribution.
        engine_seconds: How long to wait for the engine to respond.
    """

    def __init__(
        self, state: ReceiverState, engine: SharedEngine, own_version: str, *, engine_seconds: float = ENGINE_SECONDS
    ) -> None:
        self._settings = state.settings
        self._workers = state.workers
        self._engine = engine
        self._version = own_version
        self._seconds = engine_seconds

    @classmethod
    async def open(cls, state: ReceiverState, engine: SharedEngine) -> "ReceiverInfoPage":
        """Read the distribution's version, and return the page."""
        return cls(state, engine, await state.workers.run(version, "omninode-deployment-sender"))

    async def current(self) -> InfoBody:
        """Return the description as of now, without waiting long for an engine that does not respond."""
        (engine, engine_error), free_bytes = await asyncio.gather(self._engine_now(), self._free_bytes())
        return InfoBody(
            version=self._version,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            engine=engine,
            engine_error=engine_error,
            free_bytes=free_bytes,
            max_package_bytes=self._settings.max_package_size_bytes,
            will_run=self._settings.run,
            protocol_versions=SUPPORTED_VERSIONS,
        )

    async def _engine_now(self) -> tuple[EngineBody | None, str | None]:
        try:
            async with asyncio.timeout(self._seconds):
                found = await (await self._engine.available()).info()
        except OperationError as exc:
            return None, exc.message
        except TimeoutError:
            return None, f"the engine has not responded within {self._seconds:g} s"
        body = EngineBody(
            name=found.name,
            version=found.version,
            store=found.image_store or found.storage_driver,
            os=found.os,
            architecture=found.architecture,
            variant=found.variant,
        )
        return body, None

    async def _free_bytes(self) -> int | None:
        try:
            return (await self._workers.run(shutil.disk_usage, self._settings.store_folder)).free
        except OSError:
            return None

"""The Docker Engine and engines with its API."""

from importlib import import_module
from typing import TYPE_CHECKING, Unpack

from ...concurrency import run_in_thread

if TYPE_CHECKING:
    from ...ports import ContainerEngine
    from .engine import EngineOptions

__all__ = ["open_engine"]


async def open_engine(**options: "Unpack[EngineOptions]") -> "ContainerEngine":
    """Load the client in a thread, which takes a quarter of a second, then connect to an engine.

    Args:
        **options: Those of `DockerEngine` (`engine.py`).

    Raises:
        EngineUnavailableError: Within `connect_timeout_seconds`; nothing is left open then.
    """
    client = await run_in_thread(import_module, f"{__name__}.engine")
    engine: ContainerEngine = await client.open_engine(**options)
    return engine

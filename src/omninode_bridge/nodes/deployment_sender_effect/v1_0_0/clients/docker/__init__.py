"""The Docker Engine and engines with its API."""

from typing import TYPE_CHECKING, Unpack

from ...lazy_import import lazy_module, load

if TYPE_CHECKING:
    from ...ports import ContainerEngine
    from . import engine as client
    from .engine import EngineOptions
else:
    client = lazy_module(".engine", __package__)

__all__ = ["open_engine"]


async def open_engine(**options: "Unpack[EngineOptions]") -> "ContainerEngine":
    """Load the client in a thread, which takes a quarter of a second, then connect to an engine.

    Args:
        **options: Those of `DockerEngine` (`engine.py`).

    Raises:
        EngineUnavailableError: Within `connect_timeout_seconds`; nothing is left open then.
    """
    await load(client)
    return await client.open_engine(**options)

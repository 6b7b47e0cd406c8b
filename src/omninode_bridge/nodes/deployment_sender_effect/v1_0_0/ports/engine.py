"""A container engine: the roles that one open engine offers together."""

from dataclasses import dataclass
from typing import Protocol

from .image import ImageBuilder, ImageSource, ImageStore
from .runtime import ContainerRuntime

__all__ = ["ContainerEngine", "EngineInfo"]


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """An engine's version, image store and platform, as `docker info` shows them.

    Attributes:
        version: The engine's own version.
        storage_driver: `overlay2`, `vfs`, ...
        data_folder: Where the engine keeps its images, on its own machine.
        name: `Docker Engine` or `Podman Engine`.
        image_store: The containerd plug-in that keeps the images; empty where the storage driver does.
        os: As OCI images name it: `linux`; empty where the engine does not report it, as `architecture`.
        architecture: As OCI images name it: `amd64`, `arm64`, `arm`, ...
        variant: Of the architecture: `v7`, ...; None where there is none.
    """

    version: str
    storage_driver: str
    data_folder: str
    name: str = "Docker Engine"
    image_store: str = ""
    os: str = ""
    architecture: str = ""
    variant: str | None = None


class ContainerEngine(ImageBuilder, ImageSource, ImageStore, Protocol):
    """An engine with all four roles.

    Every method raises `EngineUnavailableError` once the engine is closed, and when it is closed meanwhile.
    """

    @property
    def runtime(self) -> ContainerRuntime:
        """The engine's containers."""
        ...

    async def ping(self) -> None:
        """Check that the engine responds.

        Raises:
            EngineUnavailableError: It does not.
        """
        ...

    async def info(self) -> EngineInfo:
        """Return the engine's version, image store and platform.

        Raises:
            EngineUnavailableError: It does not respond, or not with what an engine returns.
        """
        ...

    async def close(self) -> None:
        """Abort what runs, close every connection and end every thread; twice is safe."""
        ...

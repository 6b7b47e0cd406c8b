"""What is asked of a container engine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from ..models.platform import Platform
from .runtime import ContainerRuntime

__all__ = ["BuildRequest", "EngineInfo", "ImageEngine", "ImageFacts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What an engine shall build.

    Attributes:
        context: The context's folder, resolved.
        dockerfile: The Dockerfile inside it, relative, with forward slashes.
        reference: `name:tag` for the image.
        build_args: Their values are secrets: they must not appear in an error or a line.
    """

    context: Path
    dockerfile: str
    reference: str
    build_args: Mapping[str, str] = field(default_factory=dict, repr=False)
    target: str | None = None
    platform: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine that answers: its version, image store driver and data folder, as `docker info` tells.

    Attributes:
        name: What answers: `Docker Engine` or `Podman Engine`.
        image_store: The plug-in of containerd that keeps the images; empty where the storage driver does.
        os: What its images are for, as OCI images name it: `linux`; empty where it does not say, as the next one.
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


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image as its engine knows it.

    Attributes:
        image_id: The engine's own id; differs between image stores for the same image.
        diff_ids: SHA-256 of each uncompressed layer, lowest first; the same on every engine.
        os: By the image's configuration, as `architecture` and `variant`; empty where it says none.
    """

    image_id: str
    diff_ids: tuple[str, ...]
    os: str = ""
    architecture: str = ""
    variant: str = ""

    @property
    def platform(self) -> str | None:
        """`os/architecture[/variant]` in its one form; None where the configuration leaves it open."""
        return str(Platform.of(self.os, self.architecture, self.variant)) if self.os and self.architecture else None


class ImageEngine(Protocol):
    """A Docker Engine. DOCKER_UNAVAILABLE when it does not answer or goes away."""

    @property
    def runtime(self) -> ContainerRuntime:
        """Its containers."""
        ...

    async def ping(self) -> None:
        """See that it answers."""
        ...

    async def info(self) -> EngineInfo:
        """Tell which engine answers."""
        ...

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        """Build and tag an image, telling each scrubbed log line; answer the engine's image id. BUILD_FAILED."""
        ...

    async def export(self, reference: str, consume: Callable[[Iterator[bytes]], T]) -> T:
        """Run `consume` in a worker thread over the chunks of `docker save reference`; answer what it answers.

        Chunks have up to a few MB. What `consume` raises passes through. BUILD_FAILED when there is no such image.
        """
        ...

    async def load(self, chunks: Iterator[bytes]) -> None:
        """Feed an uncompressed image archive to `docker load`; `chunks` is read in a worker thread. BUILD_FAILED."""
        ...

    async def inspect(self, reference: str) -> ImageFacts | None:
        """Tell what the engine knows of an image; None if it has none of that name or id."""
        ...

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a further `name:tag`, which leads to no other image from then on. BUILD_FAILED."""
        ...

    async def untag(self, reference: str) -> None:
        """Take a `name:tag` from its image, which goes with its last name; fine if there is none. BUILD_FAILED."""
        ...

    async def references(self, repository: str) -> tuple[str, ...]:
        """List every `name:tag` whose name is `repository`."""
        ...

    async def close(self) -> None:
        """Close every connection and end every thread; twice is safe."""
        ...

"""The roles of a container engine that concern images: building them, reading them out, keeping them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from ..models.platform import Platform

__all__ = ["BuildRequest", "ImageBuilder", "ImageFacts", "ImageSource", "ImageStore"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One image to build.

    Attributes:
        context: The folder of the build context, resolved.
        dockerfile: The Dockerfile's path inside the context, with forward slashes.
        reference: The `name:tag` that the image gets.
        build_args: Values of the Dockerfile's `ARG`s, by name. They are secrets: no error and no log line shows them.
        target: The stage to build; the last one if None.
        platform: `os/architecture[/variant]`; the engine's own if None.
        labels: Labels that the image gets besides those of its Dockerfile.
        no_cache: Whether every step runs again, although the engine has its result.
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
class ImageFacts:
    """An image as its engine knows it.

    Attributes:
        image_id: The engine's own id; differs between image stores for the same image.
        diff_ids: SHA-256 of each uncompressed layer, lowest first; the same on every engine.
        os: By the image's configuration, as `architecture` and `variant`; empty where the configuration has none.
    """

    image_id: str
    diff_ids: tuple[str, ...]
    os: str = ""
    architecture: str = ""
    variant: str = ""

    @property
    def platform(self) -> str | None:
        """`os/architecture[/variant]` in its normal form; None where the configuration does not name it."""
        return str(Platform.of(self.os, self.architecture, self.variant)) if self.os and self.architecture else None


class ImageBuilder(Protocol):
    """Builds images."""

    async def build(self, request: BuildRequest, on_line: Callable[[str], None]) -> str:
        """Build and tag an image.

        Args:
            request: What to build.
            on_line: Called on the event loop's thread with each line of the log, without the build arguments' values.
                What it raises ends the build and is raised here.

        Returns:
            The engine's id of the image.

        Raises:
            BuildError: The engine, the Dockerfile or the context does not allow it.
            StorageError: This machine's disk has no space for the packed context.
            EngineUnavailableError: The engine does not respond.
        """
        ...


class ImageSource(Protocol):
    """Reads images out of an engine."""

    async def export(self, reference: str, consume: Callable[[Iterator[bytes]], T]) -> T:
        """Call `consume` in a worker thread with the chunks of `docker save reference`; return its result.

        Args:
            reference: Name or id of the image.
            consume: Reads the chunks, each of a few MB at most; what it raises is raised here.

        Raises:
            EngineRefusedError: There is no such image, or the engine cannot export it.
            EngineUnavailableError: The engine does not respond, or the archive is cut short.
        """
        ...

    async def inspect(self, reference: str) -> ImageFacts | None:
        """Return what the engine knows of an image; None if no image has that name or id.

        Raises:
            EngineUnavailableError: The engine does not respond, or not with what an engine returns.
        """
        ...


class ImageStore(Protocol):
    """Keeps images and their names."""

    async def load(self, chunks: Iterator[bytes]) -> None:
        """Send an uncompressed image archive to `docker load`.

        Args:
            chunks: The archive, read in a worker thread; what it raises is raised here.

        Raises:
            EngineRefusedError: The engine cannot load it.
            EngineUnavailableError: The engine does not respond.
        """
        ...

    async def inspect(self, reference: str) -> ImageFacts | None:
        """Return what the engine knows of an image, as `ImageSource.inspect` does."""
        ...

    async def tag(self, image_id: str, reference: str) -> None:
        """Give an image a further `name:tag`, which any other image loses.

        Raises:
            EngineRefusedError: There is no such image, or the engine does not allow that name.
            EngineUnavailableError: The engine does not respond.
        """
        ...

    async def untag(self, reference: str) -> None:
        """Remove a `name:tag`, and the image with its last one; do nothing if there is none.

        Raises:
            EngineRefusedError: A container uses the image, for example.
            EngineUnavailableError: The engine does not respond.
        """
        ...

    async def references(self, repository: str) -> tuple[str, ...]:
        """Return every `name:tag` whose name is `repository`.

        Raises:
            EngineUnavailableError: The engine does not respond, or not with what an engine returns.
        """
        ...

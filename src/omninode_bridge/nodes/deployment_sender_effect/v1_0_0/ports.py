"""What handlers and the receiver ask of the outside world, without knowing a vendor.

Every method raises `DeploymentSenderError` with the code named here, and nothing of its vendor's. Every awaitable
is safe to cancel: the work at the other end is stopped, threads have ended and sockets are closed when
`CancelledError` comes out.
"""

from asyncio import Future
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from .models import DeploymentStatus

__all__ = [
    "BuildRequest",
    "Delivery",
    "DeploymentState",
    "EngineInfo",
    "EventPublisher",
    "ImageEngine",
    "ImageFacts",
    "PackageUpload",
    "PackageUploader",
    "Progress",
    "ProgressCallback",
    "Receipt",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """One step forward, told to a progress callback on the event loop's thread.

    Attributes:
        stage: `build` (a line of the engine's log), `export` (bytes of the image read from the engine) or
            `upload` (bytes of the package sent in this attempt).
        line: The log line, scrubbed of build-argument values; None for the other stages.
        done_bytes: Bytes so far.
        total_bytes: Bytes in all, where that is known.
    """

    stage: str
    line: str | None = None
    done_bytes: int = 0
    total_bytes: int | None = None


ProgressCallback = Callable[[Progress], None]


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
    """The engine that answers: its version, image store driver and data folder, as `docker info` tells."""

    version: str
    storage_driver: str
    data_folder: str


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """An image as its engine knows it.

    Attributes:
        image_id: The engine's own id; differs between image stores for the same image.
        diff_ids: SHA-256 of each uncompressed layer, lowest first; the same on every engine.
    """

    image_id: str
    diff_ids: tuple[str, ...]


class ImageEngine(Protocol):
    """A Docker Engine. DOCKER_UNAVAILABLE when it does not answer or goes away."""

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

    async def run(self, reference: str, name: str, labels: Mapping[str, str]) -> str:
        """Start a container with fixed safe options, replacing one of the same name; answer its id. BUILD_FAILED."""
        ...

    async def close(self) -> None:
        """Close every connection and end every thread; twice is safe."""
        ...


@dataclass(frozen=True, slots=True)
class PackageUpload:
    """A package on its way: the open file and the fields that go before it (docs/receiver-protocol.md).

    Attributes:
        file: Open for reading in binary; read by position, never closed by the uploader.
        size_bytes: The file's size.
        image_id: The image's config digest, `sha256:...`.
        check: Ends when the file has turned out to be what `checksum` says, or with the error to raise; its end is not
            sent before that. None where nobody looks.
    """

    receiver_url: str
    file: BinaryIO
    filename: str
    size_bytes: int
    package_id: str
    checksum: str
    container_name: str
    image_tag: str
    compression: str
    image_id: str
    verify_checksum: bool
    correlation_id: str | None = None
    check: Future[None] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receiver answers to a package it took.

    Attributes:
        checksum: The receiver's own BLAKE3, where it tells one.
        status_url: Absolute, though perhaps on another origin, which `state` refuses to ask; None where the receiver
            tells no statuses.
    """

    deployment_id: str
    checksum_verified: bool
    checksum: str | None = None
    status: DeploymentStatus | None = None
    status_url: str | None = None


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A deployment as its receiver tells it now.

    Attributes:
        will_run: Whether this receiver starts the container after loading it.
        error_message: Why it failed, when `status` is `failed`.
    """

    deployment_id: str
    status: DeploymentStatus
    will_run: bool = False
    error_code: str | None = None
    error_message: str | None = None


class PackageUploader(Protocol):
    """A way to receivers. REMOTE_UNREACHABLE, TRANSFER_FAILED, CHECKSUM_MISMATCH, PACKAGE_TOO_LARGE."""

    async def check(self, receiver_url: str) -> None:
        """Insist that this receiver may be sent to, before anything is. VALIDATION_ERROR."""
        ...

    async def send(self, upload: PackageUpload, on_sent: Callable[[int], None]) -> Receipt:
        """Make one attempt, telling the bytes sent so far, 0 once connected; `retry` says if another may help."""
        ...

    async def state(self, receiver_url: str, status_url: str) -> DeploymentState:
        """Ask a receiver for the state of a deployment; refuse to ask on another origin than `receiver_url`'s."""
        ...

    async def close(self) -> None:
        """Close every connection; twice is safe."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the broker stored an event; both numbers are the broker's own."""

    partition: int
    offset: int


class EventPublisher(Protocol):
    """A Kafka broker. KAFKA_PUBLISH_FAILED, always within the deadline it was made with."""

    async def publish(self, topic: str, key: bytes, value: bytes) -> Delivery:
        """Send one event and wait for the broker's acknowledgement."""
        ...

    async def close(self) -> None:
        """Leave the broker within a bounded time; twice is safe."""
        ...

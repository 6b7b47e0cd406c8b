"""What is asked of a receiver of packages."""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ..models import DeploymentStatus

__all__ = ["DeploymentState", "PackageUpload", "PackageUploader", "Receipt", "ReceiverEngine", "ReceiverInfo"]


@dataclass(frozen=True, slots=True)
class PackageUpload:
    """A package on its way: the open file and the fields that go before it (docs/receiver-protocol.md).

    Attributes:
        file: Open for reading in binary; read by position, never closed by the uploader.
        size_bytes: The file's size.
        image_id: The image's config digest, `sha256:...`.
        platform: What the image is for, `os/architecture[/variant]`; None where it is not known.
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
    platform: str | None = None
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
        error_message: Why it failed, when `status` is `failed`; else why it is not further, where the receiver says so.
    """

    deployment_id: str
    status: DeploymentStatus
    will_run: bool = False
    error_code: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiverEngine:
    """The engine that loads a receiver's images.

    Attributes:
        name: `Docker Engine`, ...
        store: The image store.
        platform: What it runs, `os/architecture[/variant]`; empty where it does not say.
    """

    name: str
    version: str
    store: str
    platform: str


@dataclass(frozen=True, slots=True)
class ReceiverInfo:
    """What a receiver says of itself now.

    Attributes:
        time: Its clock, RFC 3339 in UTC.
        engine: None where it does not answer; `engine_error` says why.
        free_bytes: Space on the disk of its store.
        max_package_bytes: The largest package that it takes.
        will_run: Whether it starts containers.
    """

    version: str
    time: str
    engine: ReceiverEngine | None = None
    engine_error: str | None = None
    free_bytes: int | None = None
    max_package_bytes: int | None = None
    will_run: bool = False


class PackageUploader(Protocol):
    """A way to receivers. REMOTE_UNREACHABLE, TRANSFER_FAILED, CHECKSUM_MISMATCH, PACKAGE_TOO_LARGE."""

    async def check(self, receiver_url: str) -> None:
        """Insist that this receiver may be sent to, before anything is. VALIDATION_ERROR."""
        ...

    async def info(self, receiver_url: str) -> ReceiverInfo | None:
        """Ask a receiver about itself; None where it has no such page. `retry` says if it may answer later."""
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

"""The port for receivers of packages: what is sent, and one receiver that it is sent to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from ..models import DeploymentStatus
from ..package.identity import PackageIdentity

__all__ = [
    "DeployTarget",
    "DeployTargets",
    "DeploymentState",
    "PackageContent",
    "Receipt",
    "ReceiverEngine",
    "ReceiverInfo",
]


async def _nothing_to_verify() -> None:
    """Return at once: the content is sent as it is."""


@dataclass(frozen=True, slots=True)
class PackageContent:
    """A package to send: the open file, and the facts that a receiver needs before it.

    Attributes:
        identity: Which package it is; its `size_bytes` is known.
        file: Open for reading in binary, without a buffer; a target reads it by position and never closes it.
        filename: The name to send with the file.
        verify_checksum: Whether the receiver must verify the checksum.
        correlation_id: The caller's own id.
        verified: Returns once the file is known to have the checksum of `identity`, or raises what is wrong with it. A
            target awaits it before it sends the last bytes of the file.
    """

    identity: PackageIdentity
    file: BinaryIO
    filename: str
    verify_checksum: bool
    correlation_id: str | None = None
    verified: Callable[[], Awaitable[None]] = _nothing_to_verify

    @property
    def size_bytes(self) -> int:
        """The size of the file.

        Raises:
            ValueError: The identity does not have it.
        """
        if self.identity.size_bytes is None:
            raise ValueError("the size of the package is not known")
        return self.identity.size_bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """The response of a receiver that has accepted a package.

    Attributes:
        deployment_id: Chosen by the receiver.
        checksum_verified: Whether the receiver has compared the checksum itself.
        checksum: The BLAKE3 that the receiver computed, if it reports one.
        status: The status at that moment, if the receiver reports one.
        status_url: Where the target asks for the status: absolute, though perhaps on another origin, which the target
            refuses; None where the receiver reports no status.
    """

    deployment_id: str
    checksum_verified: bool
    checksum: str | None = None
    status: DeploymentStatus | None = None
    status_url: str | None = None


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A deployment as its receiver reports it now.

    Attributes:
        will_run: Whether this receiver starts the container after it has loaded the image.
        error_message: Why it failed, when `status` is `failed`; otherwise why it does not proceed, if the receiver
            gives a reason.
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
        name: `Docker Engine` or `Podman Engine`.
        store: The image store, such as `overlay2`.
        platform: The platform of images that it runs, `os/architecture[/variant]`; empty if it does not report one.
    """

    name: str
    version: str
    store: str
    platform: str


@dataclass(frozen=True, slots=True)
class ReceiverInfo:
    """A receiver as it describes itself now.

    Attributes:
        version: The version of its distribution.
        time: Its clock, RFC 3339 in UTC.
        engine: None if the engine does not respond; `engine_error` has the reason.
        free_bytes: Free space on the disk of its store.
        max_package_bytes: The size of the largest package that it accepts.
        will_run: Whether it starts containers.
    """

    version: str
    time: str
    engine: ReceiverEngine | None = None
    engine_error: str | None = None
    free_bytes: int | None = None
    max_package_bytes: int | None = None
    will_run: bool = False


class DeployTarget(Protocol):
    """One receiver of packages.

    Methods raise `OperationError`s only: `ReceiverUnreachableError`, `TransferError`, `PackageTooLargeError`,
    `ChecksumMismatchError`; `retry` of the error is whether a later call may succeed.
    """

    @property
    def url(self) -> str:
        """The receiver's URL, as it was given to `DeployTargets.open`."""
        ...

    async def check(self) -> None:
        """Check that packages may be sent to this receiver, without connecting to it.

        Raises:
            InvalidInputError: The settings do not allow it.
        """
        ...

    async def info(self) -> ReceiverInfo | None:
        """Return how the receiver describes itself; None if it has no such description."""
        ...

    async def deploy(self, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        """Send a package once, from its start.

        Args:
            content: The package.
            on_sent: Called with the number of bytes of the file sent so far: 0 once connected, then after each piece.

        Raises:
            OperationError: As for the class, or what `content.verified` raises; then the receiver does not have the
                package.
        """
        ...

    async def status(self, receipt: Receipt) -> DeploymentState:
        """Return the state of a deployment; a `status_url` on another origin than the receiver's is a TransferError."""
        ...

    async def close(self) -> None:
        """End the use of this target: later calls raise a `TransferError`. Closing twice is safe."""
        ...


class DeployTargets(Protocol):
    """Opens targets, and owns the connections of all of them."""

    def open(self, url: str) -> DeployTarget:
        """Return the receiver with this URL; nothing is connected yet."""
        ...

    async def close(self) -> None:
        """Close all connections: calls in progress fail. Closing twice is safe."""
        ...

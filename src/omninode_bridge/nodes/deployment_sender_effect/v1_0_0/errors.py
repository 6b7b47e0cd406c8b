"""The one table of failures: what each code means, what to do, whether to retry, and its HTTP status.

Two channels tell failure (docs/errors.md): the caller's mistake raises `DeploymentSenderError` with
`VALIDATION_ERROR`; the world's failure becomes an output model with `success=False`. Inside the package both
travel as `DeploymentSenderError`; `handlers/outcome.py` is where the second kind turns into an output.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

__all__ = [
    "ERRORS",
    "BuildError",
    "ChecksumMismatchError",
    "DeploymentSenderError",
    "EngineRefusedError",
    "EngineUnavailableError",
    "ErrorCode",
    "ErrorEntry",
    "InvalidInputError",
    "OperationError",
    "PackageDamagedError",
    "PackageNotFoundError",
    "PackageTooLargeError",
    "PublishError",
    "ReceiverUnreachableError",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "TransferError",
]


class ErrorCode(StrEnum):
    """The eight codes; no other leaves this package."""

    BUILD_FAILED = "BUILD_FAILED"
    TRANSFER_FAILED = "TRANSFER_FAILED"
    REMOTE_UNREACHABLE = "REMOTE_UNREACHABLE"
    DOCKER_UNAVAILABLE = "DOCKER_UNAVAILABLE"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    PACKAGE_TOO_LARGE = "PACKAGE_TOO_LARGE"
    KAFKA_PUBLISH_FAILED = "KAFKA_PUBLISH_FAILED"
    VALIDATION_ERROR = "VALIDATION_ERROR"


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One row of the table.

    Attributes:
        meaning: What happened, in one sentence.
        recovery: What the person should do next; used where the failure itself knows nothing better.
        retry: Whether the same call may succeed later without any change.
        http_status: The status a receiver answers with (RFC 9110), and that a sender maps back to the code.
    """

    meaning: str
    recovery: str
    retry: bool
    http_status: int


ERRORS: dict[ErrorCode, ErrorEntry] = {
    ErrorCode.BUILD_FAILED: ErrorEntry(
        "The image could not be built, exported or written to the package store.",
        "Read the message and the log's tail in it; mend the Dockerfile, the context or the disk, and package again.",
        retry=False,
        http_status=500,
    ),
    ErrorCode.TRANSFER_FAILED: ErrorEntry(
        "The receiver refused the package, or the transfer broke more often than it may be retried.",
        "Read the receiver's answer in the message; check its log, its key and its disk, then transfer again.",
        retry=True,
        http_status=502,
    ),
    ErrorCode.REMOTE_UNREACHABLE: ErrorEntry(
        "No connection to the receiver could be made.",
        "Check the URL, that the receiver runs, and the network and certificates between; then transfer again.",
        retry=True,
        http_status=504,
    ),
    ErrorCode.DOCKER_UNAVAILABLE: ErrorEntry(
        "The Docker Engine does not answer, or went away while it worked.",
        "Start the engine or set DOCKER_HOST to one that answers `docker version`, then call again.",
        retry=True,
        http_status=503,
    ),
    ErrorCode.CHECKSUM_MISMATCH: ErrorEntry(
        "The package's bytes do not have the BLAKE3 that was announced.",
        "Package the image again; if it happens again, check the disk and the memory of both machines.",
        retry=False,
        http_status=422,
    ),
    ErrorCode.PACKAGE_TOO_LARGE: ErrorEntry(
        "The package is larger than the limit of this node or of the receiver.",
        "Make the image smaller, or raise max_package_size_gb on the side that refused it.",
        retry=False,
        http_status=413,
    ),
    ErrorCode.KAFKA_PUBLISH_FAILED: ErrorEntry(
        "The broker did not acknowledge the event; it waits in the outbox.",
        "Check KAFKA_BOOTSTRAP_SERVERS and the broker; the next publish or `deployment-sender events flush` sends it.",
        retry=True,
        http_status=503,
    ),
    ErrorCode.VALIDATION_ERROR: ErrorEntry(
        "The request itself is wrong; nothing was done.",
        "Mend what the message names and call again.",
        retry=False,
        http_status=400,
    ),
}


class DeploymentSenderError(Exception):
    """A failure with its code.

    Args:
        code: One of the eight codes.
        message: What happened, for a person; never a secret, never a build argument's value.
        recovery: What to do next; the table's sentence if not given.
        retry: Whether the same call may succeed later; the table's word if not given.
        retry_after: Seconds the other side asked to wait before a retry (`Retry-After`, RFC 9110 10.2.3).
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        recovery: str | None = None,
        retry: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.recovery = recovery or ERRORS[code].recovery
        self.retry = ERRORS[code].retry if retry is None else retry
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class OperationError(DeploymentSenderError):
    """A failure inside the package; its type says which, and steers what is done about it.

    Args:
        message: What happened, for a person; never a secret, never a build argument's value.
        recovery: What to do next; the table's sentence for the public code if not given.
        retry: Whether the same call may succeed later; the type's default if not given.
        retry_after: Seconds the other side asked to wait before a retry (`Retry-After`, RFC 9110 10.2.3).
    """

    public_code: ClassVar[ErrorCode]

    def __init__(
        self,
        message: str,
        *,
        recovery: str | None = None,
        retry: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(self.public_code, message, recovery=recovery, retry=retry, retry_after=retry_after)


class InvalidInputError(OperationError):
    """The caller's mistake; nothing was done."""

    public_code = ErrorCode.VALIDATION_ERROR


class PackageNotFoundError(InvalidInputError):
    """The store has no such package."""


class StorageError(OperationError):
    """The disk refused a read or a write; the cause is the `OSError`."""

    public_code = ErrorCode.BUILD_FAILED


class StorageFullError(StorageError):
    """A full disk, a quota or a file-size limit."""


class StorageBusyError(StorageError):
    """A lock, too many open files: the same call may succeed in a moment."""


class BuildError(OperationError):
    """The image could not be built or exported."""

    public_code = ErrorCode.BUILD_FAILED


class EngineRefusedError(OperationError):
    """The engine responded with an error."""

    public_code = ErrorCode.BUILD_FAILED


class EngineUnavailableError(OperationError):
    """The engine does not respond, or went away."""

    public_code = ErrorCode.DOCKER_UNAVAILABLE


class ReceiverUnreachableError(OperationError):
    """No connection to the receiver could be made."""

    public_code = ErrorCode.REMOTE_UNREACHABLE


class TransferError(OperationError):
    """The receiver refused the package, or the transfer broke."""

    public_code = ErrorCode.TRANSFER_FAILED


class ChecksumMismatchError(OperationError):
    """The bytes do not have the BLAKE3 that was announced."""

    public_code = ErrorCode.CHECKSUM_MISMATCH


class PackageDamagedError(ChecksumMismatchError):
    """A stored package is not what its manifest says: changed, cut short, or not a regular file."""


class PackageTooLargeError(OperationError):
    """The package is larger than a limit."""

    public_code = ErrorCode.PACKAGE_TOO_LARGE


class PublishError(OperationError):
    """The event could not be kept in the outbox, or the broker did not acknowledge it."""

    public_code = ErrorCode.KAFKA_PUBLISH_FAILED

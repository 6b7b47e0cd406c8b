"""The types of errors inside this package, the eight public codes, and the one table that describes the codes.

Inside, a failure is an `OperationError`, and its type alone decides what happens next. A public code is chosen once, by
`to_public`, at the edges: `handlers/outcome.py`, `receiver/http/responses.py` and the command line. A caller's mistake
is then raised as `DeploymentSenderError` with `VALIDATION_ERROR`; any other failure becomes an output model with
`success=False` (docs/errors.md).
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
    "PackageTooNewError",
    "PublishError",
    "ReceiverUnreachableError",
    "StorageBusyError",
    "StorageError",
    "StorageFullError",
    "TransferError",
    "to_public",
]


class ErrorCode(StrEnum):
    """The eight public codes; callers see no other."""

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
        recovery: What to do next; used where the error itself has no better advice.
        retry: Whether the same call may succeed later without any change.
        http_status: The status of a receiver's response (RFC 9110); the sender maps it back to the code.
    """

    meaning: str
    recovery: str
    retry: bool
    http_status: int


ERRORS: dict[ErrorCode, ErrorEntry] = {
    ErrorCode.BUILD_FAILED: ErrorEntry(
        "The image could not be built, exported or written to the package store.",
        "Read the message and the end of the build log in it; fix the Dockerfile, the context or the disk, then package"
        " again.",
        retry=False,
        http_status=500,
    ),
    ErrorCode.TRANSFER_FAILED: ErrorEntry(
        "The receiver refused the package, or the transfer failed more often than it may be retried.",
        "Read the receiver's response in the message; check its log, its key and its disk, then transfer again.",
        retry=True,
        http_status=502,
    ),
    ErrorCode.REMOTE_UNREACHABLE: ErrorEntry(
        "No connection to the receiver could be made.",
        "Check the URL, that the receiver runs, the network and the certificates; then transfer again.",
        retry=True,
        http_status=504,
    ),
    ErrorCode.DOCKER_UNAVAILABLE: ErrorEntry(
        "The Docker Engine does not respond, or stopped responding during the call.",
        "Start the engine, or set DOCKER_HOST to one for which `docker version` works, then call again.",
        retry=True,
        http_status=503,
    ),
    ErrorCode.CHECKSUM_MISMATCH: ErrorEntry(
        "The package's bytes do not have the announced BLAKE3 checksum.",
        "Package the image again; if the error returns, check the disk and the memory of both machines.",
        retry=False,
        http_status=422,
    ),
    ErrorCode.PACKAGE_TOO_LARGE: ErrorEntry(
        "The package is larger than the limit of this node or of the receiver.",
        "Make the image smaller, or raise max_package_size_gb on the side that refused the package.",
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
        "The request is wrong; nothing was done.",
        "Correct the field named in the message and call again.",
        retry=False,
        http_status=400,
    ),
}


class DeploymentSenderError(Exception):
    """A failure with its public code.

    Args:
        code: One of the eight codes.
        message: What happened, in plain words; never a secret, never a build argument's value.
        recovery: What to do next; the table's sentence if not given.
        retry: Whether the same call may succeed later; the table's value if not given.
        retry_after: Seconds to wait before a retry, as the other side requested (`Retry-After`, RFC 9110 10.2.3).
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


class OperationError(Exception):
    """A failure inside the package; its type decides how it is handled, and the edge chooses its public code.

    Args:
        message: What happened, in plain words; never a secret, never a build argument's value.
        recovery: What to do next; the type's advice, or else the table's sentence, if not given.
        retry: Whether the same call may succeed later; the table's value for the type's code if not given.
        retry_after: Seconds to wait before a retry, as the other side requested (`Retry-After`, RFC 9110 10.2.3).

    Attributes:
        public_code: The code that `to_public` gives to errors of this type.
        default_recovery: The advice of this type; None for the table's sentence.
    """

    public_code: ClassVar[ErrorCode]
    default_recovery: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        recovery: str | None = None,
        retry: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        row = ERRORS[self.public_code]
        self.message = message
        self.recovery = recovery or self.default_recovery or row.recovery
        self.retry = row.retry if retry is None else retry
        self.retry_after = retry_after


class InvalidInputError(OperationError):
    """The caller made a mistake; nothing was done."""

    public_code = ErrorCode.VALIDATION_ERROR


class PackageNotFoundError(InvalidInputError):
    """The store has no such package."""


class StorageError(OperationError):
    """A file or folder could not be read or written; the cause is the `OSError`, if there is one."""

    public_code = ErrorCode.BUILD_FAILED
    default_recovery = "Check the disk that the message names, then call again."


class StorageFullError(StorageError):
    """The disk is full, or a quota or a file-size limit is reached."""


class StorageBusyError(StorageError):
    """A lock is held, or too many files are open: the same call may succeed in a moment."""


class PackageTooNewError(StorageError):
    """A newer version of this software wrote the package; this version cannot read it."""

    default_recovery = "Upgrade deployment-sender on this machine, or package the image again with this version."


class BuildError(OperationError):
    """The image could not be built or exported."""

    public_code = ErrorCode.BUILD_FAILED


class EngineRefusedError(OperationError):
    """The engine responded with an error."""

    public_code = ErrorCode.BUILD_FAILED


class EngineUnavailableError(OperationError):
    """The engine does not respond, or stopped responding during the call."""

    public_code = ErrorCode.DOCKER_UNAVAILABLE


class ReceiverUnreachableError(OperationError):
    """No connection to the receiver could be made."""

    public_code = ErrorCode.REMOTE_UNREACHABLE


class TransferError(OperationError):
    """The receiver refused the package, or the transfer failed."""

    public_code = ErrorCode.TRANSFER_FAILED


class ChecksumMismatchError(OperationError):
    """The bytes do not have the announced BLAKE3 checksum."""

    public_code = ErrorCode.CHECKSUM_MISMATCH


class PackageDamagedError(ChecksumMismatchError):
    """A stored package differs from its manifest: it was changed, cut short, or is not a regular file."""


class PackageTooLargeError(OperationError):
    """The package is larger than a limit."""

    public_code = ErrorCode.PACKAGE_TOO_LARGE


class PublishError(OperationError):
    """The event could not be kept in the outbox, or the broker did not acknowledge it."""

    public_code = ErrorCode.KAFKA_PUBLISH_FAILED


def to_public(error: OperationError | DeploymentSenderError, *, storage: ErrorCode) -> DeploymentSenderError:
    """Return the public form of an error.

    Args:
        error: Of any type; one that is public already is returned as it is.
        storage: The code for a `StorageError`: the disk made the operation at hand fail, whichever that is.

    Returns:
        The same facts under one of the eight codes.
    """
    if not isinstance(error, OperationError):
        return error
    return DeploymentSenderError(
        storage if isinstance(error, StorageError) else error.public_code,
        error.message,
        recovery=error.recovery,
        retry=error.retry,
        retry_after=error.retry_after,
    )

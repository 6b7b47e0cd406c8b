"""How failures are recorded: the only place that chooses the public code of a deployment's error."""

from typing import Final

from ...errors import ErrorCode, OperationError
from .record import Deployment

__all__ = [
    "NO_ERROR",
    "ContainerError",
    "LoadTimeoutError",
    "failure",
    "is_container_failure",
    "is_package_damaged",
    "is_unexpected",
    "loss",
    "waiting",
]

# The changes of a record that remove its error.
NO_ERROR: Final = {"error_code": None, "error_message": None}

_CONTAINER_CODE: Final = ErrorCode.BUILD_FAILED


class ContainerError(OperationError):
    """The container of an image could not be started, so that the previous container is kept or restored."""

    public_code = _CONTAINER_CODE


class LoadTimeoutError(OperationError):
    """The engine did not load the image in time, although it responds: waiting for it again would not help."""

    public_code = ErrorCode.DOCKER_UNAVAILABLE


def failure(error: Exception, *, hidden_folder: str) -> dict[str, object]:
    """Return the changes that record an error as the end of a deployment.

    Args:
        error: Any exception that ended it.
        hidden_folder: The path of the store, which senders need not know: `STORE` stands for it in the message.
    """
    message = _message(error).replace(hidden_folder, "STORE")
    return {"status": "failed", "start_pending": False, **_recorded(_code(error), message)}


def waiting(error: OperationError) -> dict[str, object]:
    """Return the changes that record an error as the reason why a deployment waits."""
    return _recorded(error.public_code, error.message)


def loss(message: str) -> dict[str, object]:
    """Return the changes that record that a container, or an image, is no longer as the receiver left it."""
    return {"status": "failed", **_recorded(_CONTAINER_CODE, message)}


def is_container_failure(deployment: Deployment) -> bool:
    """Return whether a deployment failed because of its container, so that the container's recovery ends the failure.

    The record on disk has nothing but the public code, which outlives a restart of the receiver.
    """
    return deployment.status == "failed" and deployment.error_code in {None, _CONTAINER_CODE}


def is_package_damaged(deployment: Deployment) -> bool:
    """Return whether a deployment failed because its stored package is damaged, so that it must be sent again."""
    return deployment.error_code == ErrorCode.CHECKSUM_MISMATCH


def is_unexpected(error: Exception) -> bool:
    """Return whether an error is a defect of the receiver, whose traceback belongs into the log."""
    return not isinstance(error, OperationError | OSError)


def _code(error: Exception) -> ErrorCode:
    return error.public_code if isinstance(error, OperationError) else ErrorCode.TRANSFER_FAILED


def _message(error: Exception) -> str:
    if isinstance(error, OperationError):
        return error.message
    if isinstance(error, OSError):
        return f"the stored package cannot be read: {error}"
    return f"unexpected error in the receiver: {error!r}"


def _recorded(code: ErrorCode, message: str) -> dict[str, object]:
    return {"error_code": code.value, "error_message": message}

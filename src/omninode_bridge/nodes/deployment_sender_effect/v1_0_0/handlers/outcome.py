"""Where the world's failures turn into outputs, and the caller's mistakes go on as exceptions."""

from collections.abc import Awaitable, Callable
from typing import TypedDict, TypeVar

from ..errors import DeploymentSenderError, ErrorCode

__all__ = ["Failure", "errors_to_output", "failure"]

T = TypeVar("T")


class Failure(TypedDict):
    """The fields of every output that tell a failure."""

    success: bool
    error_code: ErrorCode
    error_message: str
    recovery: str


def failure(error: DeploymentSenderError) -> Failure:
    """Put an error into the fields of an output."""
    return Failure(success=False, error_code=error.code, error_message=error.message, recovery=error.recovery)


async def errors_to_output(work: Awaitable[T], failed: Callable[[DeploymentSenderError], T]) -> T:
    """Await `work`; what the world did wrong becomes `failed(error)`.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR` passes through: that is the caller's mistake.
    """
    try:
        return await work
    except DeploymentSenderError as error:
        if error.code is ErrorCode.VALIDATION_ERROR:
            raise
        return failed(error)

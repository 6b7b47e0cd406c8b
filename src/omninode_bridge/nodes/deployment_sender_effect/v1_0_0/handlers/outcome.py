"""Chooses the public code of a failure: the world's failures become outputs, the caller's mistakes are raised."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict, TypeVar

from ..errors import DeploymentSenderError, ErrorCode, InvalidInputError, OperationError, to_public

__all__ = ["Failure", "errors_to_output", "failure", "public_failure", "raise_public_errors"]

T = TypeVar("T")


class Failure(TypedDict):
    """The fields of every output that describe a failure."""

    success: bool
    error_code: ErrorCode
    error_message: str
    recovery: str


def failure(error: DeploymentSenderError) -> Failure:
    """Return the fields of an output that describe an error."""
    return Failure(success=False, error_code=error.code, error_message=error.message, recovery=error.recovery)


def public_failure(error: OperationError | DeploymentSenderError, *, storage: ErrorCode) -> DeploymentSenderError:
    """Return the public form of an error that becomes an output.

    Args:
        error: What an operation raised.
        storage: The operation's code for a `StorageError`.

    Raises:
        InvalidInputError: The error is the caller's mistake; it is raised again as it is.
    """
    public = to_public(error, storage=storage)
    if public.code is ErrorCode.VALIDATION_ERROR:
        raise error
    return public


async def errors_to_output(
    work: Awaitable[T], failed: Callable[[DeploymentSenderError], T], *, storage: ErrorCode
) -> T:
    """Await an operation and return its output, also when it fails.

    Args:
        work: The operation.
        failed: Makes the output of a failure from its public form.
        storage: The operation's code for a `StorageError`.

    Raises:
        InvalidInputError: The caller made a mistake.
    """
    try:
        return await work
    except (OperationError, DeploymentSenderError) as error:
        return failed(public_failure(error, storage=storage))


@contextmanager
def raise_public_errors() -> Iterator[None]:
    """Raise the caller's mistakes in the body as `DeploymentSenderError` with `VALIDATION_ERROR`."""
    try:
        yield
    except InvalidInputError as error:
        raise DeploymentSenderError(ErrorCode.VALIDATION_ERROR, error.message, recovery=error.recovery) from error

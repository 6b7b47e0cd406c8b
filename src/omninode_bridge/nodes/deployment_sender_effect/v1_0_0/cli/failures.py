"""Errors at the edge of the command line: their public code, their exit code and their document.

A command can meet two kinds: `DeploymentSenderError` from the node, whose code was chosen there, and `OperationError`
from what a command does without a node.
"""

from ..errors import DeploymentSenderError, ErrorCode, OperationError
from ..models import OutputModel

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "SHOWN_ERRORS",
    "SUCCESS",
    "USAGE",
    "ShownError",
    "exit_code",
    "failed_output",
    "public_code",
]

SUCCESS = 0
FAILED = 1
USAGE = 2  # the caller's mistake; also what typer returns for a wrong command line
INTERRUPTED = 130  # what a shell returns for a command that Ctrl-C ended: 128 + SIGINT

SHOWN_ERRORS = (DeploymentSenderError, OperationError)
"""Errors whose message is for the user; every other is a defect."""

ShownError = DeploymentSenderError | OperationError


def public_code(error: ShownError) -> ErrorCode:
    """Return one of the eight public codes."""
    return error.public_code if isinstance(error, OperationError) else error.code


def exit_code(error: ShownError) -> int:
    """Return the exit code of a command that failed with this error."""
    return USAGE if public_code(error) is ErrorCode.VALIDATION_ERROR else FAILED


def failed_output(error: ShownError) -> OutputModel:
    """Return the output of an operation that failed, for commands without an operation of their own."""
    return OutputModel(
        success=False, error_code=public_code(error), error_message=error.message, recovery=error.recovery
    )

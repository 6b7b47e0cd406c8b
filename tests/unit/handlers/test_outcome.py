"""Failures become outputs, and mistakes are raised, each with its public code."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    BuildError,
    ChecksumMismatchError,
    DeploymentSenderError,
    ErrorCode,
    InvalidInputError,
    OperationError,
    PackageNotFoundError,
    StorageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.outcome import (
    errors_to_output,
    failure,
    raise_public_errors,
)


async def _work(error: Exception | None) -> str:
    if error:
        raise error
    return "done"


async def _output(error: Exception | None, storage: ErrorCode = ErrorCode.BUILD_FAILED) -> str:
    return await errors_to_output(_work(error), str, storage=storage)


async def test_a_success_is_returned_as_it_is() -> None:
    """Nothing is added to the result."""
    assert "done" == await _output(None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BuildError("no such stage"), "BUILD_FAILED: no such stage"),
        (ChecksumMismatchError("changed"), "CHECKSUM_MISMATCH: changed"),
        (StorageError("disk full"), "TRANSFER_FAILED: disk full"),
    ],
)
async def test_a_failure_becomes_an_output_with_its_public_code(error: OperationError, expected: str) -> None:
    """The disk makes the operation at hand fail, so a storage error has that operation's code."""
    assert expected == await _output(error, ErrorCode.TRANSFER_FAILED)


@pytest.mark.parametrize("error", [InvalidInputError("no"), PackageNotFoundError("none"), RuntimeError("a bug")])
async def test_a_mistake_of_the_caller_and_a_bug_are_raised(error: Exception) -> None:
    """Neither becomes an output."""
    with pytest.raises(type(error)) as caught:
        await _output(error)

    assert error is caught.value


def test_a_failure_has_the_four_fields() -> None:
    """Every output has them."""
    error = DeploymentSenderError(ErrorCode.BUILD_FAILED, "disk full", recovery="free some")

    assert {
        "success": False,
        "error_code": ErrorCode.BUILD_FAILED,
        "error_message": "disk full",
        "recovery": "free some",
    } == failure(error)


def test_a_mistake_leaves_the_node_as_the_public_error() -> None:
    """Message and recovery stay, and the original error is the cause."""
    mistake = InvalidInputError("no receiver is named", recovery="Name one.")
    with pytest.raises(DeploymentSenderError) as caught, raise_public_errors():
        raise mistake

    assert (DeploymentSenderError, ErrorCode.VALIDATION_ERROR) == (type(caught.value), caught.value.code)
    assert ("no receiver is named", "Name one.") == (caught.value.message, caught.value.recovery)
    assert mistake is caught.value.__cause__

"""Errors at the edge of the command line."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.failures import (
    exit_code,
    failed_output,
    public_code,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    DeploymentSenderError,
    ErrorCode,
    InvalidInputError,
    OperationError,
    PackageDamagedError,
    PublishError,
    StorageFullError,
)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "no"), ErrorCode.VALIDATION_ERROR, 2),
        (DeploymentSenderError(ErrorCode.BUILD_FAILED, "no"), ErrorCode.BUILD_FAILED, 1),
        (InvalidInputError("no"), ErrorCode.VALIDATION_ERROR, 2),
        (PublishError("no"), ErrorCode.KAFKA_PUBLISH_FAILED, 1),
        (PackageDamagedError("no"), ErrorCode.CHECKSUM_MISMATCH, 1),
        (StorageFullError("no"), ErrorCode.BUILD_FAILED, 1),
    ],
)
def test_every_error_has_a_public_code_and_an_exit_code(
    error: DeploymentSenderError | OperationError, code: ErrorCode, expected: int
) -> None:
    """2 for the caller's mistake, 1 otherwise."""
    assert (code, expected) == (public_code(error), exit_code(error))


def test_an_error_becomes_the_output_of_a_failed_operation() -> None:
    """With the fields that every output has."""
    output = failed_output(PublishError("no broker", recovery="Start it."))

    assert (False, ErrorCode.KAFKA_PUBLISH_FAILED, "no broker", "Start it.") == (
        output.success,
        output.error_code,
        output.error_message,
        output.recovery,
    )

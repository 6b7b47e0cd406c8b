"""The table of errors."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ERRORS, DeploymentSenderError, ErrorCode


def test_the_table_has_a_row_for_every_code_in_order() -> None:
    """No code is without meaning and recovery."""
    assert list(ErrorCode) == list(ERRORS)


def test_the_codes_are_exactly_the_promised_eight() -> None:
    """Callers match on these words."""
    assert {
        "BUILD_FAILED",
        "TRANSFER_FAILED",
        "REMOTE_UNREACHABLE",
        "DOCKER_UNAVAILABLE",
        "CHECKSUM_MISMATCH",
        "PACKAGE_TOO_LARGE",
        "KAFKA_PUBLISH_FAILED",
        "VALIDATION_ERROR",
    } == {code.value for code in ErrorCode}


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_takes_what_it_is_not_given_from_the_table(code: ErrorCode) -> None:
    """Recovery and retry stand in one place."""
    error = DeploymentSenderError(code, "what happened")

    assert (ERRORS[code].recovery, ERRORS[code].retry) == (error.recovery, error.retry)


def test_an_error_may_know_better_than_the_table() -> None:
    """The place that fails may know a better next step."""
    error = DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED, "busy", recovery="Wait a minute.", retry=True, retry_after=3.0
    )

    assert ("Wait a minute.", True, 3.0, "TRANSFER_FAILED: busy") == (
        error.recovery,
        error.retry,
        error.retry_after,
        str(error),
    )

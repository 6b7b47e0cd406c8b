"""The two channels of failure."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.outcome import errors_to_output, failure


async def _work(error: Exception | None) -> str:
    if error:
        raise error
    return "done"


async def test_work_that_succeeds_answers_its_value() -> None:
    """Nothing is wrapped around success."""
    assert "done" == await errors_to_output(_work(None), lambda error: error.message)


async def test_the_worlds_failure_becomes_an_answer() -> None:
    """The node stays usable."""
    error = DeploymentSenderError(ErrorCode.BUILD_FAILED, "disk full")

    assert "disk full" == await errors_to_output(_work(error), lambda error: error.message)


@pytest.mark.parametrize("error", [DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "no"), RuntimeError("a bug")])
async def test_the_callers_mistake_and_a_bug_raise(error: Exception) -> None:
    """Neither is an answer of the world."""
    with pytest.raises(type(error)) as caught:
        await errors_to_output(_work(error), lambda error: error.message)

    assert error is caught.value


def test_a_failure_has_the_four_fields() -> None:
    """Every output carries them."""
    error = DeploymentSenderError(ErrorCode.BUILD_FAILED, "disk full", recovery="free some")

    assert {
        "success": False,
        "error_code": ErrorCode.BUILD_FAILED,
        "error_message": "disk full",
        "recovery": "free some",
    } == failure(error)

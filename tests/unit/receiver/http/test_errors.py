"""Refusals with an HTTP status of their own."""

import json

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ERRORS, ErrorCode, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.errors import RefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.responses import error_response


def test_a_refusal_has_its_own_status_and_headers() -> None:
    """Such as 429 with Retry-After."""
    response = error_response(RefusedError(429, "later", headers={"Retry-After": "1"}))
    assert (429, "1") == (response.status_code, response.headers["Retry-After"])


def test_a_refusal_has_the_code_that_it_is_given() -> None:
    """And that code's recovery from the error table, unless it has its own."""
    document = json.loads(bytes(error_response(RefusedError(404, "no", code=ErrorCode.VALIDATION_ERROR)).body))
    assert ("VALIDATION_ERROR", ERRORS[ErrorCode.VALIDATION_ERROR].recovery) == (
        document["error_code"],
        document["recovery"],
    )
    assert "look here" == RefusedError(404, "no", recovery="look here").recovery


def test_a_refusal_is_caught_as_an_operations_failure() -> None:
    """By the common type."""
    assert isinstance(RefusedError(404, "no"), OperationError)

"""Responses: sent before the request's body has arrived, and made of errors."""

import json

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    InvalidInputError,
    OperationError,
    PackageTooLargeError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.errors import RefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.request_body import RequestBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.responses import EarlyResponse, error_response
from support.http.asgi import Message, arriving, chunk


async def sent_by(response: EarlyResponse) -> list[Message]:
    """Return the ASGI messages that a response sends."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await response({"type": "http"}, arriving(), send)
    return sent


async def test_an_early_response_is_sent_before_the_body_is_read() -> None:
    """It is complete, and announces that the connection closes; only its end waits."""
    body = RequestBody(arriving(chunk(b"a"), chunk(b"b", more=False)), 5)
    start, content, end = await sent_by(EarlyResponse(413, {"a": 1}).before_body(body))
    assert 413 == start["status"]
    assert (b"connection", b"close") in start["headers"]
    assert ({"a": 1}, True) == (json.loads(content["body"]), content["more_body"])
    assert (b"", False) == (end["body"], end["more_body"])
    assert body.complete


async def test_a_response_to_a_complete_body_keeps_the_connection() -> None:
    """The client may send its next request on it."""
    body = RequestBody(arriving(chunk(b"a", more=False)), 5)
    await anext(body.chunks())
    start, content = await sent_by(EarlyResponse(422, {}).before_body(body))
    assert b"connection" not in dict(start["headers"])
    assert not content.get("more_body", False)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInputError("x"), 400, "VALIDATION_ERROR"),
        (PackageTooLargeError("x"), 413, "PACKAGE_TOO_LARGE"),
        (ChecksumMismatchError("x"), 422, "CHECKSUM_MISMATCH"),
        (StorageError("x"), 500, "TRANSFER_FAILED"),
        (StorageBusyError("x"), 503, "TRANSFER_FAILED"),
        (StorageFullError("x"), 507, "TRANSFER_FAILED"),
        (RefusedError(429, "x"), 429, "TRANSFER_FAILED"),
    ],
)
def test_the_type_of_an_error_chooses_status_and_code(error: OperationError, status: int, code: str) -> None:
    """Here and nowhere else in the receiver's HTTP part."""
    response = error_response(error)
    assert (status, code) == (response.status_code, json.loads(bytes(response.body))["error_code"])


def test_an_error_is_reported_with_message_and_recovery() -> None:
    """As the error has them."""
    response = error_response(PackageTooLargeError("too large", recovery="less"))
    expected = {"error_code": "PACKAGE_TOO_LARGE", "error_message": "too large", "recovery": "less"}
    assert expected == json.loads(bytes(response.body))


@pytest.mark.parametrize("kind", [StorageError, StorageBusyError, StorageFullError])
def test_an_error_of_the_disk_does_not_name_its_folders(kind: type[StorageError]) -> None:
    """They are of no concern to a client."""
    body = bytes(error_response(kind("cannot write /srv/store/x", recovery="free space on /srv")).body)
    assert b"/srv" not in body


def test_a_busy_store_asks_to_retry_soon() -> None:
    """In a second (RFC 9110 section 10.2.3)."""
    assert "1" == error_response(StorageBusyError("x")).headers["Retry-After"]

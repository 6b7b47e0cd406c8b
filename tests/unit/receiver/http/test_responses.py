"""Bodies and answers over HTTP."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.errors import RefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.request_body import RequestBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.responses import EarlyResponse, error_response
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import DRAIN_AFTER_REJECTION, DrainLimits

Message = MutableMapping[str, Any]


def chunk(data: bytes, *, more: bool = True) -> Message:
    """A piece of a request's body, as ASGI tells it."""
    return {"type": "http.request", "body": data, "more_body": more}


def arriving(*messages: Message) -> Callable[[], Awaitable[Message]]:
    """Messages that arrive one after another, and then nothing for ever."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


async def sent_by(answer: EarlyResponse) -> list[Message]:
    """What an answer sends."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await answer({"type": "http"}, arriving(), send)
    return sent


async def test_a_body_is_complete_after_its_last_chunk() -> None:
    """Nothing more is asked for then."""
    body = RequestBody(arriving(chunk(b"a"), chunk(b"b", more=False)), 5)
    assert [piece async for piece in body.chunks()] == [b"a", b"b"]
    assert body.complete


async def test_a_client_that_says_nothing_is_timed_out() -> None:
    """With 408."""
    with pytest.raises(RefusedError, match=r"nothing arrived for 0\.02 s") as caught:
        await anext(RequestBody(arriving(), 0.02).chunks())
    assert caught.value.status == 408


async def test_a_client_that_goes_is_noticed() -> None:
    """It hears no answer any more."""
    body = RequestBody(arriving({"type": "http.disconnect"}), 5)
    with pytest.raises(ClientDisconnect):
        await anext(body.chunks())
    assert body.complete


async def test_an_early_answer_is_sent_before_the_body_is_read() -> None:
    """Complete, and closing; only its end waits."""
    body = RequestBody(arriving(chunk(b"a"), chunk(b"b", more=False)), 5)
    start, content, end = await sent_by(EarlyResponse(413, {"a": 1}).early(body))
    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]
    assert (json.loads(content["body"]), content["more_body"]) == ({"a": 1}, True)
    assert (end["body"], end["more_body"]) == (b"", False)
    assert body.complete


async def test_an_answer_to_a_body_that_has_arrived_is_a_plain_one() -> None:
    """The connection may be used again."""
    body = RequestBody(arriving(chunk(b"a", more=False)), 5)
    await anext(body.chunks())
    start, content = await sent_by(EarlyResponse(422, {}).early(body))
    assert b"connection" not in dict(start["headers"])
    assert not content.get("more_body", False)


async def test_a_client_that_sends_for_ever_is_not_read_for_ever() -> None:
    """A bounded amount is."""
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return chunk(b"x" * 6)

    await RequestBody(receive, 5).drain(DrainLimits(max_bytes=10, max_seconds=None, idle_seconds=1))
    assert asked == 2


async def test_a_client_that_waits_is_not_waited_for() -> None:
    """Not for long, in all and for each chunk."""
    for patience in (
        DrainLimits(10, max_seconds=0.01, idle_seconds=5),
        DrainLimits(10, max_seconds=5, idle_seconds=0.01),
    ):
        body = RequestBody(arriving(chunk(b"a")), 5)
        await body.drain(patience)
        assert not body.complete


async def test_a_client_that_goes_ends_the_reading() -> None:
    """Quietly."""
    body = RequestBody(arriving({"type": "http.disconnect"}), 5)
    await body.drain(DRAIN_AFTER_REJECTION)
    assert body.complete


def test_an_error_has_the_status_of_the_table() -> None:
    """And its code, message and recovery in the body."""
    answer = error_response(DeploymentSenderError(ErrorCode.PACKAGE_TOO_LARGE, "too large", recovery="less"))
    assert answer.status_code == 413
    expected = {"error_code": "PACKAGE_TOO_LARGE", "error_message": "too large", "recovery": "less"}
    assert expected == json.loads(bytes(answer.body))


def test_a_refusal_has_its_own_status_and_headers() -> None:
    """Such as 429 with Retry-After."""
    answer = error_response(RefusedError(429, "later", headers={"Retry-After": "1"}))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")

"""The bodies of requests as they arrive."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.errors import RefusedError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.request_body import RequestBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import DRAIN_AFTER_REJECTION, DrainLimits
from support.http.asgi import Message, arriving, chunk


async def test_a_body_is_complete_after_its_last_chunk() -> None:
    """Nothing more is requested then."""
    body = RequestBody(arriving(chunk(b"a"), chunk(b"b", more=False)), 5)
    assert [b"a", b"b"] == [piece async for piece in body.chunks()]
    assert body.complete


async def test_a_silent_client_is_timed_out() -> None:
    """With 408 and the time that was waited."""
    with pytest.raises(RefusedError, match=r"nothing arrived for 0\.02 s") as caught:
        await anext(RequestBody(arriving(), 0.02).chunks())
    assert 408 == caught.value.status


async def test_a_client_that_disconnects_is_noticed() -> None:
    """The body is complete then: nothing more will come."""
    body = RequestBody(arriving({"type": "http.disconnect"}), 5)
    with pytest.raises(ClientDisconnect):
        await anext(body.chunks())
    assert body.complete


async def test_a_body_that_was_read_directly_is_complete() -> None:
    """Until surplus bytes are expected, for which it is drained."""
    body = RequestBody(arriving(chunk(b"surplus", more=False)), 5)
    body.mark_complete()
    assert body.complete
    body.expect_surplus()
    assert not body.complete
    await body.drain(DRAIN_AFTER_REJECTION)
    assert body.complete


async def test_a_body_that_was_read_as_usual_has_no_surplus() -> None:
    """The HTTP server reads no more than the announced length."""
    body = RequestBody(arriving(chunk(b"a", more=False)), 5)
    await anext(body.chunks())
    body.expect_surplus()
    assert body.complete


async def test_draining_stops_at_its_limit_of_bytes() -> None:
    """A client may send for ever."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        received += 1
        return chunk(b"x" * 6)

    await RequestBody(receive, 5).drain(DrainLimits(max_bytes=10, max_seconds=None, idle_seconds=1))
    assert 2 == received


@pytest.mark.parametrize(
    "limits", [DrainLimits(10, max_seconds=0.01, idle_seconds=60), DrainLimits(10, max_seconds=60, idle_seconds=0.01)]
)
async def test_draining_stops_at_its_limits_of_time(limits: DrainLimits) -> None:
    """In all, and for each chunk."""
    body = RequestBody(arriving(chunk(b"a")), 5)
    async with asyncio.timeout(30):
        await body.drain(limits)
    assert not body.complete


async def test_draining_ends_when_the_client_disconnects() -> None:
    """Without an error."""
    body = RequestBody(arriving({"type": "http.disconnect"}), 5)
    await body.drain(DRAIN_AFTER_REJECTION)
    assert body.complete

"""What becomes of addresses that cannot be used, before anything is connected."""

import asyncio
import ssl

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.address_policy import AddressPolicy
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.client import HttpClient
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from support.receiver.scripted import Reply, ScriptedReceiver


async def a_client() -> HttpClient:
    """Make a client, in a thread as it wants."""
    return await asyncio.to_thread(HttpClient, 5, 5, ssl.create_default_context(), AddressPolicy())


async def test_an_address_that_httpx_cannot_read_is_unreachable() -> None:
    """Its InvalidURL does not leak."""
    client = await a_client()
    with pytest.raises(DeploymentSenderError, match="no address that can be connected to") as caught:
        await client.exchange("GET", "http://127.0.0.1/\x07")
    await client.close()

    assert (ErrorCode.REMOTE_UNREACHABLE, False) == (caught.value.code, caught.value.retry)


async def test_a_closed_client_fails_with_an_error_of_ours() -> None:
    """Httpx's RuntimeError does not leak."""
    client = await a_client()
    await client.close()
    with pytest.raises(DeploymentSenderError, match="closed meanwhile") as caught:
        await client.exchange("GET", "http://127.0.0.1:1/")

    assert (ErrorCode.TRANSFER_FAILED, False) == (caught.value.code, caught.value.retry)


async def test_the_answer_is_told_as_it_came() -> None:
    """Status, headers in lower case, and the bytes of the body."""
    client = await a_client()
    async with ScriptedReceiver(Reply(418, b"\x00tea", {"X-Kind": "Green"})) as receiver:
        answer = await client.exchange("GET", receiver.url)
    await client.close()

    assert (418, b"\x00tea", True) == (answer.status, answer.body, answer.complete)
    assert "Green" == answer.headers["x-kind"]

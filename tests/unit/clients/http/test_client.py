"""One exchange: URLs that cannot be used, a closed client, the response as it arrived."""

import asyncio
import ssl

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.address_policy import AddressPolicy
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.client import HttpClient
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ReceiverUnreachableError, TransferError
from support.receiver.scripted import Reply, ScriptedReceiver


async def a_client() -> HttpClient:
    """Make a client, in a thread as it wants."""
    return await asyncio.to_thread(HttpClient, 5, 5, ssl.create_default_context(), AddressPolicy())


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/", "http://[::1/", "http://127.0.0.1/\x07"])
async def test_a_url_that_cannot_be_used_is_unreachable(url: str) -> None:
    """The exceptions of the parsers do not leak."""
    client = await a_client()
    with pytest.raises(ReceiverUnreachableError, match="is not an address that can be connected to") as caught:
        await client.exchange("GET", url)
    await client.close()

    assert not caught.value.retry


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("/a b?c=d e", "/a%20b?c=d%20e"),
        ("/a%20b/", "/a%20b/"),
        ('/"<>`{}\u00fc', "/%22%3C%3E%60%7B%7D%C3%BC"),
        ("/deployments/d-1?full=1#part", "/deployments/d-1?full=1"),
    ],
)
async def test_the_target_is_percent_encoded(path: str, target: str) -> None:
    """RFC 3986: characters that a URL cannot have are encoded, once; a fragment is not sent."""
    client = await a_client()
    async with ScriptedReceiver(Reply()) as receiver:
        await client.exchange("GET", receiver.url + path, authorize=lambda _, signed: signed)
    await client.close()
    heard = receiver.heard[0]

    assert (target, target) == (heard.target, heard.headers["authorization"])


async def test_a_closed_client_refuses() -> None:
    """Closing twice is safe."""
    client = await a_client()
    await client.close()
    await client.close()
    with pytest.raises(TransferError, match="closed on this side") as caught:
        await client.exchange("GET", "http://127.0.0.1:1/")

    assert not caught.value.retry


async def test_the_response_is_returned_as_it_arrived() -> None:
    """It has the status, headers with names in lower case, and the bytes of the body."""
    client = await a_client()
    async with ScriptedReceiver(Reply(418, b"\x00tea", {"X-Kind": "Green"})) as receiver:
        response = await client.exchange("GET", receiver.url)
    await client.close()

    assert (418, b"\x00tea", True) == (response.status, response.body, response.complete)
    assert "Green" == response.headers["x-kind"]

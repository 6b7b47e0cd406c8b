"""A URL or a name that leads where it should not (server-side request forgery): nothing is connected to there."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import DeploymentSenderError, ErrorCode
from support.receiver.scripted import Reply, ScriptedReceiver, receipt
from support.sending.node import KEY, Sender

METADATA = "169.254.169.254"


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """The sender."""
    return Sender(tmp_path / "packages")


@pytest.fixture
async def package(sender: Sender) -> str:
    """A small package."""
    return await asyncio.to_thread(sender.keep, os.urandom(1000))


class Names:
    """The name server of this test: gives the addresses one after the other; the last one repeats."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.requests = 0
        self._addresses = list(addresses)
        self._literal = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, port: int | None, **how: Any) -> list[Any]:
        if how.get("flags"):
            return self._literal(host, port, **how)
        self.requests += 1
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]


async def refused(sender: Sender, package: str, url: str, **settings: Any) -> DeploymentSenderError:
    """Check that a URL is refused as the caller's mistake, before anything is sent or counted."""
    async with sender.node(signing_key=KEY, **settings) as node:
        with pytest.raises(DeploymentSenderError) as caught:
            await sender.send(node, package, url)
        figures = await node.get_metrics()
    assert ErrorCode.VALIDATION_ERROR is caught.value.code
    assert 0 == figures["total_transfers"]
    return caught.value


@pytest.mark.parametrize(
    "host", [METADATA, "2852039166", "0251.0376.0251.0376", "[::ffff:a9fe:a9fe]", "0.0.0.0", "[::]"]
)
async def test_some_addresses_are_never_sent_to(sender: Sender, package: str, host: str) -> None:
    """Their spelling and the settings change nothing."""
    error = await refused(sender, package, f"http://{host}:8001", allowed_receivers=["0.0.0.0/0", "::/0"])

    assert "packages are never sent there" in error.message


async def test_a_receiver_that_is_not_on_the_list(sender: Sender, package: str) -> None:
    """Gets no connection; one that is on the list gets the package."""
    async with ScriptedReceiver(receipt()) as receiver:
        error = await refused(sender, package, receiver.url, allowed_receivers=["10.0.0.0/8", "*.example"])

        assert 0 == receiver.connections
        async with sender.node(allowed_receivers=["127.0.0.0/8"]) as node:
            assert (await sender.send(node, package, receiver.url)).success
    assert "127.0.0.1 is not in allowed_receivers" == error.message


async def test_a_name_that_leads_off_the_list(sender: Sender, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the caller's mistake: REMOTE_UNREACHABLE, once, and no connection."""
    Names(monkeypatch, "127.0.0.1")
    async with ScriptedReceiver(receipt()) as receiver, sender.node(allowed_receivers=["10.0.0.0/8"]) as node:
        output = await sender.send(node, package, receiver.url.replace("127.0.0.1", "edge.example"))

        assert 0 == receiver.connections
    assert (ErrorCode.REMOTE_UNREACHABLE, 1) == (output.error_code, output.attempts)
    assert "edge.example (127.0.0.1) is not in allowed_receivers" in str(output.error_message)


async def test_a_name_that_leads_to_the_clouds_metadata(
    sender: Sender, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REMOTE_UNREACHABLE, once."""
    Names(monkeypatch, METADATA)
    async with sender.node() as node:
        output = await sender.send(node, package, "http://metadata.example")

    assert (ErrorCode.REMOTE_UNREACHABLE, 1) == (output.error_code, output.attempts)
    assert f"metadata.example ({METADATA}) is a link-local address" in str(output.error_message)


async def test_a_name_that_changes_where_it_leads(
    sender: Sender, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: each connection resolves the name once, and that address is checked and used."""
    names = Names(monkeypatch, "127.0.0.1", METADATA)
    async with ScriptedReceiver(Reply(503)) as receiver, sender.node() as node:
        output = await sender.send(node, package, receiver.url.replace("127.0.0.1", "edge.example"))

        assert (1, 2) == (receiver.connections, names.requests)
    assert (ErrorCode.REMOTE_UNREACHABLE, 2) == (output.error_code, output.attempts)
    assert METADATA in str(output.error_message)


@pytest.mark.parametrize("url", ["ftp://edge", "file:///etc/passwd", "http://me:secret@edge", "http://edge@evil"])
async def test_a_url_that_is_not_a_receivers(sender: Sender, package: str, url: str) -> None:
    """Only http and https are allowed, and no user name."""
    error = await refused(sender, package, url)

    assert "secret" not in error.message

"""Requests that commands make of a receiver."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.receiver_queries import check_url, get_json, get_page
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    DeploymentSenderError,
    InvalidInputError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.receiver.scripted import Reply, ScriptedReceiver

SETTINGS = DeploymentSenderSettings.load({}, {})


@pytest.mark.parametrize("path", ["", "/", "/deploy"])
async def test_a_page_is_beside_deploy(path: str) -> None:
    """The URL may have `/deploy`, or not."""
    async with ScriptedReceiver(Reply(404, "no")) as receiver:
        response = await get_page(SETTINGS, f"{receiver.url}/edge{path}", "/healthz")

    assert (404, b"no") == (response.status, response.body)
    assert "/edge/healthz" == receiver.heard[0].target


async def test_json_is_read() -> None:
    """The query is sent with the path."""
    async with ScriptedReceiver(Reply(body={"deployments": []})) as receiver:
        found = await get_json(SETTINGS, receiver.url, "/deployments?limit=1")

    assert {"deployments": []} == found
    assert "/deployments?limit=1" == receiver.heard[0].target


@pytest.mark.parametrize("reply", [Reply(body="no"), Reply(body="[]"), Reply(204), Reply(body=" " * 70_000)])
async def test_anything_but_an_object_is_an_error(reply: Reply) -> None:
    """It is not a receiver's."""
    async with ScriptedReceiver(reply) as receiver:
        with pytest.raises(TransferError):
            await get_json(SETTINGS, receiver.url, "/deployments")


async def test_a_receiver_that_is_not_there_is_unreachable() -> None:
    """No process listens there."""
    with pytest.raises(ReceiverUnreachableError):
        await get_json(SETTINGS, "http://127.0.0.1:1", "/deployments")


async def test_a_receiver_that_is_not_allowed_gets_no_request() -> None:
    """The settings name another."""
    settings = DeploymentSenderSettings.load({"allowed_receivers": "edge.example"}, {})
    async with ScriptedReceiver(Reply()) as receiver:
        with pytest.raises(InvalidInputError):
            await get_page(settings, receiver.url, "/healthz")

        assert 0 == receiver.connections


def test_a_url_is_checked_as_a_transfer_would() -> None:
    """A password is refused."""
    assert "http://edge:8001" == check_url("http://edge:8001")
    with pytest.raises(DeploymentSenderError):
        check_url("http://me:secret@edge")

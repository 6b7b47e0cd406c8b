"""`deployment-sender metrics`."""

import json
from typing import TYPE_CHECKING

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.commands.metrics import metrics
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.options import CommonOptions
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.session import Session
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import TransferError
from support.receiver.scripted import Reply, ScriptedReceiver

if TYPE_CHECKING:
    from ..conftest import CommandLine

TEXT = '# HELP loads Images loaded.\nloads 3\ndeployments{status="loaded"} 2\n'


def test_they_count_packages_and_events(cli: "CommandLine") -> None:
    """With the packages' size and the events' states."""
    cli.packaged()
    cli.run("publish", "BUILD_STARTED")
    document = cli.document("metrics")

    assert (1, 1, 0, 0) == (
        document["packages"],
        document["events_waiting"],
        document["events_sent"],
        document["events_failed"],
    )
    assert document["package_bytes"] > 0


def test_they_are_two_lines_for_people(cli: "CommandLine") -> None:
    """One for packages and one for events."""
    assert "packages    0, 0 bytes\nevents      0 waiting, 0 sent, 0 failed\n" == cli.run("metrics").out


async def test_those_of_a_receiver_are_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """With their explanations."""
    async with ScriptedReceiver(Reply(body=TEXT)) as scripted:
        assert await metrics(Session(CommonOptions()), scripted.url)

    assert TEXT == capsys.readouterr().out
    assert "/metrics" == scripted.heard[0].target


async def test_those_of_a_receiver_are_numbers_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its name and labels."""
    async with ScriptedReceiver(Reply(body=TEXT)) as scripted:
        await metrics(Session(CommonOptions(json=True)), f"{scripted.url}/deploy")

    assert {"loads": 3, 'deployments{status="loaded"}': 2} == json.loads(capsys.readouterr().out)


async def test_a_receiver_without_metrics_is_an_error() -> None:
    """It may be one of another make."""
    async with ScriptedReceiver(Reply(404)) as scripted:
        with pytest.raises(TransferError, match="HTTP 404"):
            await metrics(Session(CommonOptions()), scripted.url)


async def test_a_response_in_another_format_is_an_error() -> None:
    """Something else than a receiver may listen there."""
    async with ScriptedReceiver(Reply(body="<html>hello</html>")) as scripted:
        with pytest.raises(TransferError, match="Prometheus"):
            await metrics(Session(CommonOptions()), scripted.url)

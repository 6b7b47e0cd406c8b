"""Podman in the Docker Engine's place: what responds is called what it is."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.doctor_checks import Finding, check_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings
from support.engine.podman import Podman


@pytest.fixture
def podman() -> Iterator[Podman]:
    """A running service."""
    with Podman() as service:
        yield service


def _version() -> str:
    return subprocess.run(["podman", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def test_doctor_names_podman(podman: Podman) -> None:
    """The version is podman's own."""
    settings = DeploymentSenderSettings.load({"docker_host": podman.docker_host})
    finding, _ = asyncio.run(check_engine(settings, Openers()))

    assert Finding("engine", "ok", f"Podman Engine {_version()}, vfs") == finding


async def test_every_message_names_podman(podman: Podman) -> None:
    """They do so from its first response on, also when it is gone."""
    engine = await open_engine(docker_host=podman.docker_host)
    podman.stop()
    with pytest.raises(OperationError) as caught:
        await engine.info()
    await engine.close()

    assert isinstance(caught.value, EngineUnavailableError)
    assert caught.value.message.startswith(f"The Podman Engine at {podman.docker_host} is not available")

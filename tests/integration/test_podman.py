"""Podman in the Docker Engine's place: what responds is called what it is."""

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.doctor_checks import Finding
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.doctor_checks import engine as look_at_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings

_DEADLINE_SECONDS = 30


class Podman:
    """Podman's service of its Docker-compatible API, with images of its own."""

    def __init__(self, folder: Path) -> None:
        socket = folder / "podman.sock"
        self.docker_host = f"unix://{socket}"
        command = ["podman", f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs"]
        command += ["system", "service", "--time=0", self.docker_host]
        log = folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + _DEADLINE_SECONDS
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                pytest.fail(f"podman did not start:\n{log.read_text()[-4000:]}", pytrace=False)
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; twice is safe."""
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def podman() -> Iterator[Podman]:
    """One that runs."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed on this machine")
    folder = Path(
        tempfile.mkdtemp(prefix="podman-")
    )  # short: the path of a Unix socket has 108 bytes at most (unix(7))
    service = Podman(folder)
    yield service
    service.stop()
    with suppress(OSError):
        shutil.rmtree(folder)


def _version() -> str:
    return subprocess.run(["podman", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def test_doctor_says_that_it_is_podman(podman: Podman) -> None:
    """By the header that it sends, and with its own version."""
    settings = DeploymentSenderSettings.load({"docker_host": podman.docker_host})
    finding, _ = asyncio.run(look_at_engine(settings, Openers()))

    assert Finding("engine", "ok", f"Podman Engine {_version()}, vfs") == finding


async def test_so_does_every_message(podman: Podman) -> None:
    """From its first response on, also when it is gone."""
    engine = await open_engine(docker_host=podman.docker_host)
    podman.stop()
    with pytest.raises(OperationError) as caught:
        await engine.info()
    await engine.close()

    assert isinstance(caught.value, EngineUnavailableError)
    assert caught.value.message.startswith(f"The Podman Engine at {podman.docker_host} is not available")

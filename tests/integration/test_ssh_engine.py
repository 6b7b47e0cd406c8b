"""An engine behind ssh://: a real sshd, the machine's own ssh, the real engine."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine, open_engine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, OperationError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import BuildRequest, ContainerLimits, ContainerSpec
from support.engine.engines import RealEngine
from support.engine.ssh_server import SshServer, ssh_server
from support.eventually import eventually_sync
from support.process.processes import children

__all__ = ["ssh_server"]


@pytest.fixture
async def engine(ssh_server: SshServer, real_engine: RealEngine) -> AsyncIterator[DockerEngine]:
    """Our client of the engine, by way of ssh."""
    engine = await open_engine(docker_host=ssh_server.edge)
    yield engine
    await engine.close()


@pytest.fixture
def context(tmp_path: Path, real_engine: RealEngine) -> Path:
    """A build context."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f'FROM {real_engine.base_image}\nCOPY data /data\nCMD ["sleep", "60"]\n')
    (folder / "data").write_bytes(os.urandom(3_000_000))
    return folder


async def _refused(docker_host: str, seconds: float = 10) -> OperationError:
    with pytest.raises(OperationError) as caught:
        await open_engine(docker_host=docker_host, connect_timeout_seconds=seconds)
    assert isinstance(caught.value, EngineUnavailableError)
    return caught.value


def _digest(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _until_no_container(real_engine: RealEngine, image: str) -> None:
    eventually_sync(lambda: not real_engine.api.containers(filters={"label": f"test={image}"}))


async def test_every_call_works(
    engine: DockerEngine, real_engine: RealEngine, ssh_server: SshServer, context: Path
) -> None:
    """By the port and the jump host of the ssh configuration; the archive is that of the engine, byte for byte."""
    reference, name = real_engine.new_image(), real_engine.new_container()
    lines: list[str] = []
    image_id = await engine.build(BuildRequest(context, "Dockerfile", reference), lines.append)
    archive = await engine.export(reference, list)
    near = DockerEngine(docker_host=real_engine.docker_host)
    expected = await near.export(reference, _digest)
    await near.close()
    await asyncio.to_thread(real_engine.api.remove_image, reference)
    gone = await engine.inspect(reference)
    await engine.load(iter(archive))
    facts = await engine.inspect(reference)
    assert facts is not None
    limits = ContainerLimits(memory_bytes=64_000_000, cpus=None, pids=64, log_file_bytes=1_000_000, log_files=1)
    container = await engine.runtime.create(ContainerSpec(facts.image_id, name, {}, limits))
    await engine.runtime.start(container)

    assert any(line.startswith("Successfully built") for line in lines)
    assert (expected, None) == (_digest(iter(archive)), gone)
    assert image_id == facts.image_id
    assert container == (await asyncio.to_thread(real_engine.api.inspect_container, name))["Id"]
    jumped = f"on 127.0.0.1 port {ssh_server.ports['jump']}"
    assert jumped in await asyncio.to_thread(ssh_server.log.read_text)


async def test_the_address_may_name_user_port_and_socket(ssh_server: SshServer, real_engine: RealEngine) -> None:
    """They win over what is configured, here and there."""
    scheme, _, path = (real_engine.docker_host or "unix:///var/run/docker.sock").partition("://")
    if scheme != "unix":
        pytest.skip("the engine of the tests has no socket on this machine")
    port = ssh_server.ports["dead"]
    engine = await open_engine(docker_host=f"ssh://{ssh_server.user}@dead:{port}{path}")
    info = await engine.info()
    await engine.close()

    assert real_engine.api.info()["ServerVersion"] == info.version


async def test_a_machine_without_docker_is_named(ssh_server: SshServer) -> None:
    """The message has the shell's error, the recovery the next step."""
    error = await _refused("ssh://bare")

    assert "is not available: there is no docker program on bare: " in error.message
    assert "`ssh bare docker version`" in error.recovery


async def test_a_machine_without_an_engine_is_named(ssh_server: SshServer) -> None:
    """The message has docker's error."""
    error = await _refused("ssh://dead")

    assert "`docker system dial-stdio` on dead: " in error.message
    assert "nothing.sock" in error.message


async def test_a_login_that_is_refused_is_named(ssh_server: SshServer) -> None:
    """The message has ssh's error; ssh does not prompt for a password."""
    error = await _refused("ssh://locked")

    assert "ssh to locked: " in error.message
    assert "Permission denied (publickey)" in error.message
    assert "Make sure that `ssh locked docker version` works without a prompt." == error.recovery


async def test_a_machine_that_is_not_known_is_not_trusted(ssh_server: SshServer) -> None:
    """The program does not prompt for that."""
    assert "Host key verification failed" in (await _refused("ssh://stranger")).message


async def test_a_silent_machine_has_a_deadline(ssh_server: SshServer) -> None:
    """Its port accepts the connection and sends nothing; no program is left."""
    error = await _refused("ssh://silent", 0.3)

    assert "The Docker Engine at ssh://silent " in error.message
    assert [] == await asyncio.to_thread(children, "ssh")


async def test_a_broken_connection_means_an_unavailable_engine(
    engine: DockerEngine, real_engine: RealEngine, ssh_server: SshServer
) -> None:
    """Its ssh is killed in the middle of an export."""

    def kill(chunks: Iterator[bytes]) -> None:
        for pid in children("ssh"):
            os.kill(pid, signal.SIGKILL)
        for _ in chunks:
            pass

    with pytest.raises(OperationError) as caught:
        await engine.export(real_engine.base_image, kill)

    assert isinstance(caught.value, EngineUnavailableError)
    assert "the Docker Engine at ssh://edge went away" in caught.value.message


async def test_cancelling_ends_the_work_there_and_the_program_here(
    engine: DockerEngine, real_engine: RealEngine, context: Path
) -> None:
    """The step that runs on the engine is stopped, as with a connection of any other kind."""
    reference = real_engine.new_image()
    (context / "Dockerfile").write_text(
        f"FROM {real_engine.base_image}\nLABEL test={reference}\nRUN echo begun; sleep 600\n"
    )
    begun = asyncio.Event()
    request = BuildRequest(context, "Dockerfile", reference)
    building = asyncio.create_task(engine.build(request, lambda line: begun.set() if line == "begun" else None))
    await begun.wait()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    assert [] == await asyncio.to_thread(children, "ssh")
    await asyncio.to_thread(_until_no_container, real_engine, reference)


async def test_no_call_leaves_a_program(engine: DockerEngine, real_engine: RealEngine) -> None:
    """Each has its own, which ends with it."""
    await engine.info()
    await engine.inspect(real_engine.base_image)

    assert [] == await asyncio.to_thread(children, "ssh")


async def test_a_missing_ssh_program_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recovery names the package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await _refused("ssh://edge")

    assert "ssh:// needs the program ssh on this machine: No such file or directory" in error.message
    assert "openssh-client" in error.recovery

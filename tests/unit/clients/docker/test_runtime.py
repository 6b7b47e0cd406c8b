"""Calls about containers in threads: their deadlines and their cancellation."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    EngineRefusedError,
    EngineUnavailableError,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerRuntime
from support.engine.fake_daemon import Exchange, FakeDaemon
from support.engine.runtime import FakeRuntime

ID = "1" * 64


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    """An engine whose responses the test chooses; the developer's ~/.docker/config.json does not matter."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with FakeDaemon(tmp_path / "engine.sock") as started:
        yield started


@pytest.fixture
async def runtime(daemon: FakeDaemon) -> AsyncIterator[ContainerRuntime]:
    """Its containers, with short time-outs."""
    engine = DockerEngine(docker_host=daemon.docker_host, response_timeout_seconds=0.3)
    yield engine.runtime
    await engine.close()


def silent(daemon: FakeDaemon, method: str, path: str) -> threading.Event:
    """Make the engine accept a request and send nothing; return an event that is set when it has one."""
    asked = threading.Event()

    def accept(exchange: Exchange) -> None:
        exchange.body()
        asked.set()
        exchange.wait_until_gone()

    daemon.on(method, path, accept)
    return asked


def test_the_fake_implements_the_port_too() -> None:
    """Mypy checks it."""

    async def nothing(_: str) -> None:
        """Happens before and after."""

    runtimes: list[ContainerRuntime] = [FakeRuntime(nothing, nothing), DockerEngine().runtime]

    assert 2 == len(runtimes)


async def test_each_call_has_a_deadline(daemon: FakeDaemon, runtime: ContainerRuntime) -> None:
    """It is an EngineUnavailableError."""
    silent(daemon, "GET", "/containers/.*")
    with pytest.raises(OperationError, match=r"within 0\.3 s") as caught:
        await runtime.inspect("hello")

    assert isinstance(caught.value, EngineUnavailableError)


async def test_stopping_has_the_containers_own_seconds_on_top(daemon: FakeDaemon, runtime: ContainerRuntime) -> None:
    """The engine responds after them."""
    silent(daemon, "POST", "/containers/.*/stop")
    with pytest.raises(OperationError, match=r"within 0\.8 s"):
        await runtime.stop("hello", 0.5)


async def test_cancelling_waits_for_no_engine(daemon: FakeDaemon) -> None:
    """This one never responds."""
    asked = silent(daemon, "POST", "/containers/.*/start")
    engine = DockerEngine(docker_host=daemon.docker_host, response_timeout_seconds=3600)
    task = asyncio.create_task(engine.runtime.start(ID))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.close()


async def test_a_refusal_is_reported_with_the_engines_message(daemon: FakeDaemon, runtime: ContainerRuntime) -> None:
    """With the id as the docker command shows it."""
    daemon.on("POST", "/containers/.*/start", lambda it: it.respond({"message": "no such command"}, 400))
    with pytest.raises(OperationError) as caught:
        await runtime.start(ID)

    assert (EngineRefusedError, f"The container {'1' * 12} could not be started: no such command") == (
        type(caught.value),
        caught.value.message,
    )

"""Services when their engine is restarted, or their receiver is killed."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.engine import DockerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError
from support.engine.engines import RealEngine
from support.engine.machine import UP, Machine
from support.engine.private import PrivateEngine
from support.eventually import eventually_sync
from support.receiver.in_process import form
from support.receiver.process import ReceiverProcess
from support.receiver.services import open_harness


@pytest.fixture
def machine(real_engine: RealEngine) -> Iterator[Machine]:
    """Return the machine's engine."""
    with Machine(real_engine) as made:
        yield made


async def test_a_service_comes_back_with_its_engine(tmp_path: Path, real_engine: RealEngine) -> None:
    """After a restart of the engine, which stops every container first; the receiver does nothing."""
    with PrivateEngine(real_engine) as private:
        machine = Machine(private)
        image_id = await asyncio.to_thread(machine.image, UP)
        engine = DockerEngine(docker_host=private.docker_host)
        async with open_harness(tmp_path / "store", engine) as harness:
            deployment = await harness.deploy(machine.name, image_id)
            before = machine.api.inspect_container(machine.name)["State"]["StartedAt"]
            await asyncio.to_thread(private.stop)
            with pytest.raises(EngineUnavailableError):
                await harness.watcher.inspect_all()
            assert "running" == harness.current(deployment).status  # the receiver cannot know the state now
            await asyncio.to_thread(private.start)
            await harness.wait_for(deployment, "running", container_status="running")
            after = machine.api.inspect_container(machine.name)["State"]
            await engine.close()

    assert (True, True) == (after["Running"], after["StartedAt"] > before)


def _image(machine: Machine, tag: str, *lines: str) -> bytes:
    """Return the package of an image with the test's name; the engine does not keep that name."""
    image_id, reference = machine.image(UP, *lines), f"{machine.name}:{tag}"
    machine.api.tag(image_id, machine.name, tag)
    machine.engine.remove_later(reference)
    return b"".join(machine.api.get_image(reference))


def _send(machine: Machine, receiver: ReceiverProcess, package: bytes, tag: str) -> str:
    fields = form(package, container_name=machine.name, image_tag=tag)
    receipt = httpx.post(f"{receiver.url}/deploy", data=fields, files={"package": package}, timeout=60).json()
    return str(receipt["deployment_id"])


def _state(receiver: ReceiverProcess, deployment_id: str) -> dict[str, Any]:
    """Wait until a deployment has ended; return its state."""
    while True:
        state: dict[str, Any] = httpx.get(f"{receiver.url}/deployments/{deployment_id}").json()
        if state["status"] in {"running", "failed"}:
            return state
        time.sleep(0.05)


def test_a_receiver_that_is_killed_while_it_watches_a_new_container(tmp_path: Path, machine: Machine) -> None:
    """The next one starts the same package again: one container is left, and it has the data."""
    good, better = (_image(machine, tag, "VOLUME /data") for tag in ("1.0", "2.0"))
    with ReceiverProcess(tmp_path, "--run") as receiver:
        first = _state(receiver, _send(machine, receiver, good, "1.0"))
    machine.run(first["container_id"], "echo precious >/data/file")
    environ = {"DEPLOYMENT_RECEIVER_START_WATCH_SECONDS": "3600"}
    with ReceiverProcess(tmp_path, "--run", environ=environ) as receiver:
        second = _send(machine, receiver, better, "2.0")
        both = {machine.name: "exited", f"{machine.name}.Next": "running"}
        eventually_sync(lambda: both == machine.containers())
        receiver.kill()
    with ReceiverProcess(tmp_path, "--run") as receiver:
        state = _state(receiver, second)

    assert ("running", {machine.name: "running"}) == (state["status"], machine.containers())
    assert state["container_id"] == machine.api.inspect_container(machine.name)["Id"] != first["container_id"]
    assert "precious\n" == machine.run(state["container_id"], "cat /data/file")
    assert 1 == len(machine.volumes(state["container_id"]))


def test_the_state_of_a_container_is_reported_over_http(tmp_path: Path, machine: Machine) -> None:
    """The receiver inspects the container without a request."""
    package = _image(machine, "1.0")
    with ReceiverProcess(tmp_path, "--run") as receiver:
        deployment_id = _send(machine, receiver, package, "1.0")
        running = _state(receiver, deployment_id)
        machine.api.remove_container(running["container_id"], force=True)
        while (state := _state(receiver, deployment_id))["container_status"] != "removed":
            time.sleep(0.05)

    assert ("running", 0, False, []) == (
        running["container_status"],
        running["restart_count"],
        running["oom_killed"],
        running["warnings"],
    )
    assert ("failed", "BUILD_FAILED", "removed") == (state["status"], state["error_code"], state["container_status"])

"""The deployments of a receiver, compared with a real engine."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import docker
import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.prometheus import read_samples
from support.engine.engines import RealEngine
from support.receiver.in_process import form
from support.receiver.process import ReceiverProcess

# Ends at once on SIGTERM, so that replacing it takes no time.
_SERVES = """["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"""


@dataclass(frozen=True)
class Version:
    """A package of an image, and the fields of its upload."""

    package: bytes
    fields: dict[str, str]

    def send(self, receiver: ReceiverProcess) -> dict[str, Any]:
        """Send the package; return the receipt."""
        response = httpx.post(f"{receiver.url}/deploy", data=self.fields, files={"package": self.package}, timeout=120)
        assert response.status_code in {200, 201}, response.text
        receipt: dict[str, Any] = response.json()
        return receipt


@dataclass(frozen=True)
class Versions:
    """Two versions of one image: the newer one with the tag of the older one, and with another tag."""

    name: str
    old: Version
    new: Version
    other_tag: Version


@pytest.fixture(scope="module")
def packages(docker_api: docker.APIClient, base_image: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Return the packages of two versions, the newer one with both tags; the engine has none of their images."""
    name, found = f"deployment-sender-test-{uuid4().hex[:12]}", {}
    for version, tags in (("old", ["1"]), ("new", ["1", "2"])):
        dockerfile = f"FROM {base_image}\nLABEL version={version} of={name}\nCMD {_SERVES}\n"
        for tag in tags:
            reference = f"{name}:{tag}"
            for line in docker_api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=reference, rm=True, decode=True):
                assert "error" not in line, line
            found[f"{version}:{tag}"] = b"".join(docker_api.get_image(reference))
            docker_api.remove_image(reference, force=True)
    yield name, found
    for image in docker_api.images(filters={"label": f"of={name}"}):  # also those without a name
        docker_api.remove_image(image["Id"], force=True)


@pytest.fixture
def versions(real_engine: RealEngine, packages: tuple[str, dict[str, bytes]]) -> Versions:
    """Return both versions, which no receiver has yet."""
    name, found = packages

    def version(of: str, tag: str) -> Version:
        real_engine.remove_later(f"{name}:{tag}")
        return Version(found[f"{of}:{tag}"], form(found[f"{of}:{tag}"], container_name=name, image_tag=tag))

    return Versions(name, version("old", "1"), version("new", "1"), version("new", "2"))


def state_of(receiver: ReceiverProcess, receipt: dict[str, Any]) -> dict[str, Any]:
    """Request the state of a deployment."""
    state: dict[str, Any] = httpx.get(f"{receiver.url}/{receipt['status_url']}").json()
    return state


def wait_for_end(receiver: ReceiverProcess, receipt: dict[str, Any]) -> dict[str, Any]:
    """Wait until a deployment has ended; return its state. The time-out of the test limits this."""
    while True:
        state = state_of(receiver, receipt)
        if state["status"] in {"running", "replaced", "failed"} or (
            state["status"] == "loaded" and not state["will_run"]
        ):
            return state
        time.sleep(0.05)


def statuses(receiver: ReceiverProcess, *receipts: dict[str, Any]) -> list[str]:
    """Request the status of each deployment."""
    return [state_of(receiver, receipt)["status"] for receipt in receipts]


def running(engine: RealEngine, versions: Versions) -> list[str]:
    """Return the ids of the running containers of an image name."""
    found = engine.api.containers(filters={"name": versions.name})
    return [container["Id"] for container in found]


def gauge(receiver: ReceiverProcess, status: str) -> float:
    """How many deployments have a status, as the metrics say."""
    samples = read_samples(httpx.get(f"{receiver.url}/metrics").text)
    return samples[f'deployment_receiver_deployments{{status="{status}"}}']


def test_of_two_tags_at_once_the_later_one_runs(real_engine: RealEngine, versions: Versions, tmp_path: Path) -> None:
    """Neither deployment fails: the earlier one is replaced, and one container runs."""
    old, new = versions.old, versions.other_tag
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        receipts = [old.send(receiver), new.send(receiver)]
        states = [wait_for_end(receiver, receipt) for receipt in receipts]
        last = wait_for_end(receiver, receipts[1])
        first = state_of(receiver, receipts[0])
    assert ("running", [None, None]) == (last["status"], [state["error_message"] for state in states])
    assert "replaced" == first["status"]
    assert [last["container_id"]] == running(real_engine, versions)


@pytest.mark.parametrize("newer", ["new", "other_tag"])
def test_an_older_version_runs_when_it_is_sent_again(
    real_engine: RealEngine, versions: Versions, tmp_path: Path, newer: str
) -> None:
    """With the same tag or another one; the newer version is replaced, and the metrics say so."""
    old, new = versions.old, getattr(versions, newer)
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        first = old.send(receiver)
        before = wait_for_end(receiver, first)
        second = new.send(receiver)
        wait_for_end(receiver, second)
        assert ["replaced", "running"] == statuses(receiver, first, second)
        assert "received" == old.send(receiver)["status"]
        after = wait_for_end(receiver, first)
        assert ["running", "replaced"] == statuses(receiver, first, second)
        assert (1, 1) == (gauge(receiver, "running"), gauge(receiver, "replaced"))
    assert before["image_id"] == after["image_id"]
    assert [after["container_id"]] == running(real_engine, versions)
    container = real_engine.api.inspect_container(after["container_id"])
    assert after["image_id"] == container["Image"]


def test_a_package_is_deployed_again_after_a_removal_by_hand(
    real_engine: RealEngine, versions: Versions, tmp_path: Path
) -> None:
    """Of the container, then of the container and the image."""
    version = versions.old
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        receipt = version.send(receiver)
        first = wait_for_end(receiver, receipt)
        assert receipt | {"status": "running"} == version.send(receiver)

        real_engine.api.remove_container(first["container_id"], force=True)
        assert receipt | {"status": "received"} == version.send(receiver)
        second = wait_for_end(receiver, receipt)

        real_engine.api.remove_container(second["container_id"], force=True)
        real_engine.api.remove_image(f"{versions.name}:1", force=True)
        assert receipt | {"status": "received"} == version.send(receiver)
        third = wait_for_end(receiver, receipt)
    assert ["running"] * 3 == [state["status"] for state in (first, second, third)]
    assert [third["container_id"]] == running(real_engine, versions)


def test_records_are_compared_with_the_engine_at_the_start(
    real_engine: RealEngine, versions: Versions, tmp_path: Path
) -> None:
    """A container and an image that were removed while no receiver ran are failures."""
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        started = versions.old.send(receiver)
        container_id = wait_for_end(receiver, started)["container_id"]
    with ReceiverProcess(tmp_path / "store") as receiver:
        assert ["running"] == statuses(receiver, started)
        loaded = versions.other_tag.send(receiver)
        assert "loaded" == wait_for_end(receiver, loaded)["status"]
    real_engine.api.remove_container(container_id, force=True)
    real_engine.api.remove_image(f"{versions.name}:2", force=True)
    with ReceiverProcess(tmp_path / "store") as receiver:
        receiver.wait_for(f"{started['deployment_id']}: .* failed: BUILD_FAILED: ")
        receiver.wait_for(f"{loaded['deployment_id']}: .* failed: BUILD_FAILED: ")
        assert (0, 0) == (gauge(receiver, "running"), gauge(receiver, "loaded"))


class EngineLink:
    """A symbolic link to the engine's socket, which makes the engine available or not."""

    def __init__(self, engine: RealEngine, path: Path) -> None:
        self._socket = urlsplit(engine.docker_host or "unix:///var/run/docker.sock").path
        self.path = path
        self.environ = {"DOCKER_HOST": f"unix://{path}"}

    def connect(self) -> None:
        """Make the engine available."""
        self.path.symlink_to(self._socket)

    def disconnect(self) -> None:
        """Make the engine unavailable."""
        self.path.unlink()


@pytest.fixture
def link(real_engine: RealEngine, tmp_path: Path) -> EngineLink:
    """Return a link to the real engine, which is unavailable."""
    return EngineLink(real_engine, tmp_path / "engine.sock")


def test_a_deployment_waits_for_the_engine(versions: Versions, link: EngineLink, tmp_path: Path) -> None:
    """Its state says why, and it continues by itself, also after a restart of the receiver."""
    version = versions.old
    with ReceiverProcess(tmp_path / "store", environ=link.environ) as receiver:
        receipt = version.send(receiver)
        receiver.wait_for("received: DOCKER_UNAVAILABLE: ")
        state = state_of(receiver, receipt)
        receiver.kill()
    assert ("received", "DOCKER_UNAVAILABLE") == (state["status"], state["error_code"])
    assert "is not available" in state["error_message"]
    with ReceiverProcess(tmp_path / "store", environ=link.environ) as receiver:
        receiver.wait_for("the engine is unavailable")
        link.connect()
        state = wait_for_end(receiver, receipt)
    assert ("loaded", None, None) == (state["status"], state["error_code"], state["error_message"])


@pytest.mark.parametrize(("then", "today", "status"), [("--run", "", "loaded"), ("", "--run", "running")])
def test_a_container_is_started_by_the_current_setting(
    versions: Versions, link: EngineLink, then: str, today: str, status: str
) -> None:
    """Not by the setting at the arrival of the package."""
    version = versions.old
    with ReceiverProcess(link.path.parent / "store", *then.split(), environ=link.environ) as receiver:
        receipt = version.send(receiver)
        assert bool(then) == state_of(receiver, receipt)["will_run"]
    link.connect()
    with ReceiverProcess(link.path.parent / "store", *today.split(), environ=link.environ) as receiver:
        assert status == wait_for_end(receiver, receipt)["status"]


def test_a_receiver_describes_itself(real_engine: RealEngine, link: EngineLink, tmp_path: Path) -> None:
    """Its engine as `docker version` does; an engine that is away is reported at once."""
    expected = real_engine.api.version()
    link.connect()
    with ReceiverProcess(tmp_path / "store", environ=link.environ) as receiver:
        info = httpx.get(f"{receiver.url}/info").json()
        link.disconnect()
        away = httpx.get(f"{receiver.url}/info").json()
    engine = info["engine"]
    assert (expected["Version"], expected["Os"], expected["Arch"]) == (
        engine["version"],
        engine["os"],
        engine["architecture"],
    )
    assert None is away["engine"]
    assert "is not available" in away["engine_error"]

"""What the receiver says of its deployments, held against a real engine."""

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

from support.engine.engines import RealEngine
from support.receiver.in_process import form
from support.receiver.process import ReceiverProcess

# Ends at once when it is asked to, so that replacing it takes no time.
_SERVES = """["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]"""


@dataclass(frozen=True)
class Version:
    """A package of an image, and where it is to be."""

    package: bytes
    fields: dict[str, str]

    def send(self, receiver: ReceiverProcess) -> dict[str, Any]:
        """Send it; return the receipt."""
        response = httpx.post(f"{receiver.url}/deploy", data=self.fields, files={"package": self.package}, timeout=120)
        assert response.status_code in {200, 201}, response.text
        receipt: dict[str, Any] = response.json()
        return receipt


@dataclass(frozen=True)
class Versions:
    """Two versions of one image, and the older one's tag and another for the newer one."""

    name: str
    old: Version
    new: Version
    other_tag: Version


@pytest.fixture(scope="module")
def packages(docker_api: docker.APIClient, base_image: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The packages of two versions, the newer one under both tags; the engine has none of their images."""
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
    for image in docker_api.images(filters={"label": f"of={name}"}):  # also those that have lost their name
        docker_api.remove_image(image["Id"], force=True)


@pytest.fixture
def versions(real_engine: RealEngine, packages: tuple[str, dict[str, bytes]]) -> Versions:
    """As if they had never been sent."""
    name, found = packages

    def version(of: str, tag: str) -> Version:
        real_engine.remove_later(f"{name}:{tag}")
        return Version(found[f"{of}:{tag}"], form(found[f"{of}:{tag}"], container_name=name, image_tag=tag))

    return Versions(name, version("old", "1"), version("new", "1"), version("new", "2"))


def asked(receiver: ReceiverProcess, receipt: dict[str, Any]) -> dict[str, Any]:
    """Ask for a deployment's state."""
    state: dict[str, Any] = httpx.get(f"{receiver.url}/{receipt['status_url']}").json()
    return state


def ended(receiver: ReceiverProcess, receipt: dict[str, Any]) -> dict[str, Any]:
    """Wait for a deployment's end; the test's own time-out bounds it."""
    while True:
        state = asked(receiver, receipt)
        if state["status"] in {"running", "replaced", "failed"} or (
            state["status"] == "loaded" and not state["will_run"]
        ):
            return state
        time.sleep(0.05)


def statuses(receiver: ReceiverProcess, *receipts: dict[str, Any]) -> list[str]:
    """Ask for the status of each."""
    return [asked(receiver, receipt)["status"] for receipt in receipts]


def running(engine: RealEngine, versions: Versions) -> list[str]:
    """The ids of the containers of an image name that run."""
    found = engine.api.containers(filters={"name": versions.name})
    return [container["Id"] for container in found]


def gauge(receiver: ReceiverProcess, status: str) -> str:
    """How many deployments have a status, as the metrics say."""
    text = httpx.get(f"{receiver.url}/metrics").text
    name = f'deployment_receiver_deployments{{status="{status}"}} '
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return line.removeprefix(name)


def test_two_tags_at_once_end_with_the_later_one(real_engine: RealEngine, versions: Versions, tmp_path: Path) -> None:
    """Neither fails: the earlier one is replaced, and one container runs."""
    old, new = versions.old, versions.other_tag
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        receipts = [old.send(receiver), new.send(receiver)]
        states = [ended(receiver, receipt) for receipt in receipts]
        last = ended(receiver, receipts[1])
        first = asked(receiver, receipts[0])
    assert ("running", [None, None]) == (last["status"], [state["error_message"] for state in states])
    assert "replaced" == first["status"]
    assert [last["container_id"]] == running(real_engine, versions)


@pytest.mark.parametrize("newer", ["new", "other_tag"])
def test_going_back_to_an_older_version(
    real_engine: RealEngine, versions: Versions, tmp_path: Path, newer: str
) -> None:
    """Of the same tag or another: it runs, the newer one does not, and the figures say so."""
    old, new = versions.old, getattr(versions, newer)
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        first = old.send(receiver)
        before = ended(receiver, first)
        second = new.send(receiver)
        ended(receiver, second)
        assert ["replaced", "running"] == statuses(receiver, first, second)
        assert "received" == old.send(receiver)["status"]
        after = ended(receiver, first)
        assert ["running", "replaced"] == statuses(receiver, first, second)
        assert ("1", "1") == (gauge(receiver, "running"), gauge(receiver, "replaced"))
    assert before["image_id"] == after["image_id"]
    assert [after["container_id"]] == running(real_engine, versions)
    container = real_engine.api.inspect_container(after["container_id"])
    assert after["image_id"] == container["Image"]


def test_what_was_removed_by_hand_is_deployed_again(
    real_engine: RealEngine, versions: Versions, tmp_path: Path
) -> None:
    """The container, then the container and the image."""
    version = versions.old
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        receipt = version.send(receiver)
        first = ended(receiver, receipt)
        assert receipt | {"status": "running"} == version.send(receiver)

        real_engine.api.remove_container(first["container_id"], force=True)
        assert receipt | {"status": "received"} == version.send(receiver)
        second = ended(receiver, receipt)

        real_engine.api.remove_container(second["container_id"], force=True)
        real_engine.api.remove_image(f"{versions.name}:1", force=True)
        assert receipt | {"status": "received"} == version.send(receiver)
        third = ended(receiver, receipt)
    assert ["running"] * 3 == [state["status"] for state in (first, second, third)]
    assert [third["container_id"]] == running(real_engine, versions)


def test_records_are_held_against_the_engine_at_the_start(
    real_engine: RealEngine, versions: Versions, tmp_path: Path
) -> None:
    """What was removed while no receiver ran does not run, and is not loaded."""
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        started = versions.old.send(receiver)
        container_id = ended(receiver, started)["container_id"]
    with ReceiverProcess(tmp_path / "store") as receiver:
        assert ["running"] == statuses(receiver, started)
        loaded = versions.other_tag.send(receiver)
        assert "loaded" == ended(receiver, loaded)["status"]
    real_engine.api.remove_container(container_id, force=True)
    real_engine.api.remove_image(f"{versions.name}:2", force=True)
    with ReceiverProcess(tmp_path / "store") as receiver:
        receiver.wait_for(f"{started['deployment_id']}: .* failed: BUILD_FAILED: ")
        receiver.wait_for(f"{loaded['deployment_id']}: .* failed: BUILD_FAILED: ")
        assert ("0", "0") == (gauge(receiver, "running"), gauge(receiver, "loaded"))


class Door:
    """A way to the engine that is there or not: a symbolic link to its socket."""

    def __init__(self, engine: RealEngine, path: Path) -> None:
        self._socket = urlsplit(engine.docker_host or "unix:///var/run/docker.sock").path
        self.path = path
        self.environ = {"DOCKER_HOST": f"unix://{path}"}

    def open(self) -> None:
        """Let the engine be there."""
        self.path.symlink_to(self._socket)

    def shut(self) -> None:
        """Take it away."""
        self.path.unlink()


@pytest.fixture
def door(real_engine: RealEngine, tmp_path: Path) -> Door:
    """To the real engine, shut."""
    return Door(real_engine, tmp_path / "engine.sock")


def test_an_engine_that_comes_later_than_the_receiver(versions: Versions, door: Door, tmp_path: Path) -> None:
    """The deployment says what it waits for and goes on by itself, also with another receiver on the store."""
    version = versions.old
    with ReceiverProcess(tmp_path / "store", environ=door.environ) as receiver:
        receipt = version.send(receiver)
        receiver.wait_for("received: DOCKER_UNAVAILABLE: ")
        state = asked(receiver, receipt)
        receiver.kill()
    assert ("received", "DOCKER_UNAVAILABLE") == (state["status"], state["error_code"])
    assert "is not available" in state["error_message"]
    with ReceiverProcess(tmp_path / "store", environ=door.environ) as receiver:
        receiver.wait_for("the engine cannot be used for now")
        door.open()
        state = ended(receiver, receipt)
    assert ("loaded", None, None) == (state["status"], state["error_code"], state["error_message"])


@pytest.mark.parametrize(("then", "today", "status"), [("--run", "", "loaded"), ("", "--run", "running")])
def test_whether_a_container_is_started_is_todays_setting(
    versions: Versions, door: Door, then: str, today: str, status: str
) -> None:
    """Not that of the package's arrival."""
    version = versions.old
    with ReceiverProcess(door.path.parent / "store", *then.split(), environ=door.environ) as receiver:
        receipt = version.send(receiver)
        assert bool(then) == asked(receiver, receipt)["will_run"]
    door.open()
    with ReceiverProcess(door.path.parent / "store", *today.split(), environ=door.environ) as receiver:
        assert status == ended(receiver, receipt)["status"]


def test_a_receiver_describes_itself(real_engine: RealEngine, door: Door, tmp_path: Path) -> None:
    """Its engine as `docker version` does, and an engine that is away, at once."""
    expected = real_engine.api.version()
    door.open()
    with ReceiverProcess(tmp_path / "store", environ=door.environ) as receiver:
        told = httpx.get(f"{receiver.url}/info").json()
        door.shut()
        away = httpx.get(f"{receiver.url}/info").json()
    engine = told["engine"]
    assert (expected["Version"], expected["Os"], expected["Arch"]) == (
        engine["version"],
        engine["os"],
        engine["architecture"],
    )
    assert None is away["engine"]
    assert "is not available" in away["engine_error"]

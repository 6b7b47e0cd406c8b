"""This release and the one before the protocol had a version, each as the sender and as the receiver of the other.

The earlier one is built from the commit `b36355e`, whose requests and responses have no version.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.engine.engines import RealEngine
from support.process.command import Command
from support.process.release import installed_release
from support.receiver.process import ReceiverProcess

_EARLIER = "b36355e"
_KEY = f"shared:{'s' * 32}"
_OTHER_KEY = f"shared:{'o' * 32}"
_IMAGE = "COPY greeting /greeting"

MakeCommand = Callable[[str], Command]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of the earlier release's environment."""
    return installed_release(_EARLIER, tmp_path_factory.mktemp("earlier"))


@pytest.fixture
def command(tmp_path: Path, real_engine: RealEngine) -> MakeCommand:
    """Return a function that makes the command of a release; all use one store of packages."""

    def make(python: str) -> Command:
        made = Command(tmp_path, real_engine.base_image, real_engine.new_image(), python=python)
        made.environ["DEPLOYMENT_SENDER_SIGNING_KEY"] = _KEY
        made.context(_IMAGE)
        return made

    return make


@pytest.fixture(params=["earlier sender", "earlier receiver"])
def interpreters(request: pytest.FixtureRequest, earlier: str) -> tuple[str, str]:
    """The interpreters of sender and receiver, in both combinations."""
    return (earlier, sys.executable) if request.param == "earlier sender" else (sys.executable, earlier)


def receiver(python: str, store: Path, key: str = _KEY) -> ReceiverProcess:
    """Return a receiver of a release that requires signatures."""
    return ReceiverProcess(store, python=python, environ={"DEPLOYMENT_RECEIVER_SIGNING_KEYS": key})


def package(command: Command) -> str:
    """Package the image; return the package's id."""
    name, _, tag = command.reference.partition(":")
    made = command.document("package", str(command.folder / "context"), "--name", name, "--tag", tag)
    assert made["success"], made
    package_id: str = made["package_id"]
    return package_id


def image_id(engine: RealEngine, reference: str) -> str:
    """Return the engine's id of an image."""
    found: str = engine.api.inspect_image(reference)["Id"]  # type: ignore[no-untyped-call]
    return found


def transferred(document: dict[str, Any]) -> tuple[Any, ...]:
    """Return the facts of a transfer that a user relies on."""
    return document["success"], document["checksum_verified"], document["deployment_status"]


def test_each_release_is_itself(earlier: str, command: MakeCommand, tmp_path: Path) -> None:
    """The earlier one has no protocol version; otherwise the tests below would compare this one with itself."""
    for python, versions in ((earlier, None), (sys.executable, "2")):
        with receiver(python, tmp_path / str(versions)) as process:
            response = httpx.get(f"{process.url}/healthz", trust_env=False)
        assert versions == response.headers.get("Deployment-Protocol")
    assert command(earlier).run("--version").stdout.startswith("deployment-sender")


def test_a_signed_package_is_verified_and_loaded(
    interpreters: tuple[str, str], command: MakeCommand, real_engine: RealEngine, tmp_path: Path
) -> None:
    """The engine had lost the image, so it is the receiver that has brought it back."""
    sender, other = interpreters
    using = command(sender)
    package_id = package(using)
    before = image_id(real_engine, using.reference)
    real_engine.api.remove_image(using.reference, force=True)
    with receiver(other, tmp_path / "receiver") as process:
        document = using.document("transfer", package_id, "--to", process.url, "--wait-for", "loaded")
    assert (True, True, "loaded") == transferred(document), document
    assert before == image_id(real_engine, using.reference)


def test_a_whole_shipment_succeeds(interpreters: tuple[str, str], command: MakeCommand, tmp_path: Path) -> None:
    """It also asks the receiver for `GET /info`, and follows the deployment's state."""
    sender, other = interpreters
    using = command(sender)
    with receiver(other, tmp_path / "receiver") as process:
        document = using.document(*using.ship(process.url))
    assert document["success"], document
    assert (True, True, "loaded") == transferred(document["transfer"])


def test_a_wrong_key_is_refused_in_words(interpreters: tuple[str, str], command: MakeCommand, tmp_path: Path) -> None:
    """The sender shows the receiver's own reason and what to do."""
    sender, other = interpreters
    using = command(sender)
    package_id = package(using)
    with receiver(other, tmp_path / "receiver", _OTHER_KEY) as process:
        document = using.document("transfer", package_id, "--to", process.url)
    assert (False, "TRANSFER_FAILED") == (document["success"], document["error_code"])
    assert "the signature does not match" in document["error_message"]
    assert "DEPLOYMENT_SENDER_SIGNING_KEY" in document["recovery"]


def test_another_image_under_the_announced_name_is_refused_in_words(
    interpreters: tuple[str, str], command: MakeCommand, tmp_path: Path
) -> None:
    """The refusal comes after the file, so it is one that the whole upload leads to."""
    sender, other = interpreters
    using = command(sender)
    package_id = package(using)
    (manifest,) = using.folder.glob(f"store/**/{package_id}/manifest.json")
    announced = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(announced | {"image_tag": "another"}))
    with receiver(other, tmp_path / "receiver") as process:
        document = using.document("transfer", package_id, "--to", process.url)
    assert (False, "TRANSFER_FAILED") == (document["success"], document["error_code"])
    assert "the package was announced as" in document["error_message"]


def test_a_package_of_the_earlier_release_is_sent_by_this_one(
    earlier: str, command: MakeCommand, tmp_path: Path
) -> None:
    """An upgrade keeps the packages that are there."""
    package_id = package(command(earlier))
    with receiver(sys.executable, tmp_path / "receiver") as process:
        document = command(sys.executable).document("transfer", package_id, "--to", process.url, "--wait-for", "loaded")
    assert (True, True, "loaded") == transferred(document), document


def test_a_store_of_the_earlier_receiver_is_taken_over_by_this_one(
    earlier: str, command: MakeCommand, tmp_path: Path
) -> None:
    """With its deployments, and nothing is deployed a second time."""
    using = command(sys.executable)
    package_id = package(using)
    sent = ("transfer", package_id, "--wait-for", "loaded", "--to")
    with receiver(earlier, tmp_path / "receiver") as process:
        first = using.document(*sent, process.url)
    with receiver(sys.executable, tmp_path / "receiver") as process:
        again = using.document(*sent, process.url)
    assert (True, "loaded", first["remote_deployment_id"]) == (
        again["success"],
        again["deployment_status"],
        again["remote_deployment_id"],
    )

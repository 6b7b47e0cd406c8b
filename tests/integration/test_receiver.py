"""The receiver as a process, with a real engine, and with senders of other makes such as curl."""

import gzip
import io
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import httpx
import pytest
from blake3 import blake3
from docker.errors import ImageNotFound

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import TransferError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import PackageContent
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import SignedRequest, new_nonce, sign
from support.archives.archives import config_of, image_archive, image_members, layer, sha256, written
from support.engine.engines import RealEngine
from support.receiver.process import ReceiverProcess
from support.sending.content import http_targets

_KEY = f"k1:{'s' * 32}"

Answer = tuple[int, dict[str, Any]]


def exported(engine: RealEngine, reference: str, command: str = '["sleep", "60"]') -> bytes:
    """Build an image, save it, and remove its name; return the archive."""
    dockerfile = f"FROM {engine.base_image}\nLABEL made={uuid4()}\nCMD {command}\n"
    for line in engine.api.build(fileobj=io.BytesIO(dockerfile.encode()), tag=reference, rm=True, decode=True):
        assert "error" not in line, line
    archive = b"".join(engine.api.get_image(reference))
    engine.api.remove_image(reference, force=True)
    return archive


def image_id(engine: RealEngine, reference: str) -> str:
    """Return the engine's id of an image."""
    return str(engine.api.inspect_image(reference)["Id"])  # type: ignore[no-untyped-call]


def curl(url: str, package: Path, fields: Mapping[str, str]) -> Answer:
    """Send a package with curl."""
    form = [argument for name, value in fields.items() for argument in ("-F", f"{name}={value}")]
    command = ["curl", "-sS", "-w", "\n%{http_code}", *form, "-F", f"package=@{package}", f"{url}/deploy"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def announced(package: Path, reference: str) -> dict[str, str]:
    """Return the fields of a package, with the checksum that `b3sum` prints."""
    printed = subprocess.run(["b3sum", "--no-names", package], check=True, capture_output=True, text=True).stdout
    name, _, tag = reference.rpartition(":")
    return {"package_id": str(uuid4()), "checksum": printed.strip(), "container_name": name, "image_tag": tag}


def finished(url: str, receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for a deployment's end."""
    while True:
        state: dict[str, Any] = httpx.get(urljoin(f"{url}/deploy", receipt["status_url"])).json()
        if state["status"] in {"failed", "running"} or (state["status"] == "loaded" and not state["will_run"]):
            return state
        time.sleep(0.05)


def compress(program: str, archive: bytes) -> bytes:
    """Compress with a program of the system."""
    if program == "none":
        return archive
    return subprocess.run([program, "-c"], input=archive, check=True, capture_output=True).stdout


@pytest.mark.parametrize("program", ["gzip", "zstd", "none"])
def test_curl_can_send_an_image(real_engine: RealEngine, tmp_path: Path, program: str) -> None:
    """Compressed with common tools, it is loaded into the engine."""
    reference = real_engine.new_image()
    package = tmp_path / "package"
    package.write_bytes(compress(program, exported(real_engine, reference)))
    with pytest.raises(ImageNotFound):
        image_id(real_engine, reference)
    with ReceiverProcess(tmp_path / "store") as receiver:
        status, receipt = curl(receiver.url, package, announced(package, reference))
        state = finished(receiver.url, receipt)
    assert (201, True) == (status, receipt["checksum_verified"])
    assert (state["status"], state["image_id"]) == ("loaded", image_id(real_engine, reference))


def test_an_image_is_run_where_the_receiver_runs_containers(real_engine: RealEngine, tmp_path: Path) -> None:
    """In a container whose labels name the deployment."""
    reference = real_engine.new_image()
    package = tmp_path / "package"
    package.write_bytes(exported(real_engine, reference))
    with ReceiverProcess(tmp_path / "store", "--run") as receiver:
        state = finished(receiver.url, curl(receiver.url, package, announced(package, reference))[1])
    assert ("running", None) == (state["status"], state["error_message"])
    container = real_engine.api.inspect_container(state["container_id"])
    assert container["State"]["Running"]
    assert container["Config"]["Labels"]["omninode.deployment.id"] == state["deployment_id"]


def test_an_archive_cannot_move_a_name_that_was_not_announced(real_engine: RealEngine, tmp_path: Path) -> None:
    """It is not sent to the engine."""
    announced_as, victim = real_engine.new_image(), real_engine.new_image()
    name, _, tag = victim.rpartition(":")
    real_engine.api.tag(real_engine.base_image, name, tag)
    before = image_id(real_engine, victim)
    package = tmp_path / "package"
    package.write_bytes(image_archive("legacy", victim))
    with ReceiverProcess(tmp_path / "store") as receiver:
        status, response = curl(receiver.url, package, announced(package, announced_as))
    assert (422, "VALIDATION_ERROR") == (status, response["error_code"])
    assert image_id(real_engine, victim) == before


def test_another_layer_than_the_configuration_names_is_refused(real_engine: RealEngine, tmp_path: Path) -> None:
    """Before the engine is called."""
    reference = real_engine.new_image()
    package = tmp_path / "package"
    package.write_bytes(image_archive("legacy", reference).replace(b"Hello\n", b"Jello\n"))
    with ReceiverProcess(tmp_path / "store") as receiver:
        status, response = curl(receiver.url, package, announced(package, reference))
    assert (422, "VALIDATION_ERROR") == (status, response["error_code"])
    assert "and the configuration names sha256:" in response["error_message"]


def test_an_image_that_the_engine_refuses(real_engine: RealEngine, tmp_path: Path) -> None:
    """The engine's message is in the deployment's state."""
    reference = real_engine.new_image()
    package = tmp_path / "package"
    config = config_of([layer()]).replace(b'"linux"', b'"windows"')
    package.write_bytes(written(image_members("legacy", reference, [layer()], config)))
    with ReceiverProcess(tmp_path / "store") as receiver:
        state = finished(receiver.url, curl(receiver.url, package, announced(package, reference))[1])
    assert ("failed", "BUILD_FAILED") == (state["status"], state["error_code"])
    assert "windows" in state["error_message"]


def test_a_killed_receiver_continues_after_a_restart(real_engine: RealEngine, tmp_path: Path) -> None:
    """An acknowledged package is loaded after its next start."""
    reference = real_engine.new_image()
    package = tmp_path / "package"
    package.write_bytes(exported(real_engine, reference))
    environ = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    with ReceiverProcess(tmp_path / "store", environ=environ) as receiver:
        _, receipt = curl(receiver.url, package, announced(package, reference))
        receiver.wait_for("received: DOCKER_UNAVAILABLE")
        receiver.kill()
    with ReceiverProcess(tmp_path / "store") as receiver:
        assert "loaded" == finished(receiver.url, receipt)["status"]
    assert image_id(real_engine, reference)


def test_it_exits_with_0_after_a_signal(tmp_path: Path) -> None:
    """At once, if no upload is in progress."""
    with ReceiverProcess(tmp_path / "store") as receiver:
        assert 0 == receiver.stop()
    assert receiver.lines == [f"listening on {receiver.url}", "stopping"]


@pytest.fixture
def signed(tmp_path: Path) -> Callable[[], ReceiverProcess]:
    """Return a function that makes a receiver that requires signatures."""
    return lambda: ReceiverProcess(
        tmp_path / "store", environ={"DEPLOYMENT_RECEIVER_SIGNING_KEYS": _KEY, "DOCKER_HOST": "tcp://127.0.0.1:1"}
    )


def content(package: bytes, file: io.BytesIO | Any) -> PackageContent:
    """Return a package as the sender has it."""
    identity = PackageIdentity(
        package_id=str(uuid4()),
        checksum=blake3(package).hexdigest(),
        container_name="hello",
        image_tag="1.0",
        size_bytes=len(package),
        compression="gzip",
        config_digest=f"sha256:{sha256(config_of([layer()]))}",
    )
    return PackageContent(identity, file, "package.tar.gz", verify_checksum=True)


async def test_our_sender_is_accepted_with_its_key(signed: Callable[[], ReceiverProcess], tmp_path: Path) -> None:
    """Also for the state; the log holds no secret."""
    package = gzip.compress(image_archive())
    (tmp_path / "package").write_bytes(package)
    targets = await http_targets(signing_key=_KEY)
    with signed() as receiver, (tmp_path / "package").open("rb") as file:
        sent, target = content(package, file), targets.open(receiver.url)
        receipt = await target.deploy(sent, lambda _: None)
        again = await target.deploy(sent, lambda _: None)
        state = await target.status(receipt)
        await targets.close()
    assert again.deployment_id == receipt.deployment_id == state.deployment_id
    assert receipt.checksum_verified
    assert "s" * 32 not in "\n".join(receiver.lines)
    assert "HMAC" not in "\n".join(receiver.lines)


async def test_our_sender_is_refused_without_a_key(signed: Callable[[], ReceiverProcess], tmp_path: Path) -> None:
    """It reads the reason, although it is still sending."""
    package = os.urandom(20_000_000)
    (tmp_path / "package").write_bytes(package)
    targets = await http_targets()
    with signed() as receiver, (tmp_path / "package").open("rb") as file:
        with pytest.raises(TransferError, match="must be signed") as caught:
            await targets.open(receiver.url).deploy(content(package, file), lambda _: None)
        await targets.close()
    assert not caught.value.retry


def test_a_replayed_upload_is_refused_after_a_restart(signed: Callable[[], ReceiverProcess], tmp_path: Path) -> None:
    """Byte for byte the same request, to the same address."""
    package = image_archive()
    fields = {
        "package_id": str(uuid4()),
        "checksum": blake3(package).hexdigest(),
        "container_name": "hello",
        "image_tag": "1.0",
    }
    signed_for = SignedRequest.for_upload("receiver", "/deploy", UploadFields.read(fields), len(package))
    header = sign("k1", b"s" * 32, signed_for, now=int(time.time()), nonce=new_nonce())
    headers = {"Host": "receiver", "Authorization": header}
    statuses = []
    for _ in range(2):
        with signed() as receiver:
            response = httpx.post(f"{receiver.url}/deploy", data=fields, files={"package": package}, headers=headers)
            statuses.append(response.status_code)
    assert [201, 401] == statuses


@pytest.mark.parametrize("expect", [["-H", "Expect:"], []])
def test_curl_reads_that_a_package_is_too_large(tmp_path: Path, expect: list[str]) -> None:
    """Whether or not it sends `Expect: 100-continue`, as it does by default."""
    package = tmp_path / "package"
    with package.open("wb") as file:
        file.truncate(300_000_000)
    with ReceiverProcess(tmp_path / "store", "--max-package-size-gb", "0.1") as receiver:
        command = ["curl", "-sS", "-w", "\n%{http_code}", *expect, "-F", "a=b", "-F", f"package=@{package}"]
        done = subprocess.run([*command, f"{receiver.url}/deploy"], check=True, capture_output=True, timeout=60)
    body, _, status = done.stdout.rpartition(b"\n")
    assert (b"413", "PACKAGE_TOO_LARGE") == (status, json.loads(body)["error_code"])


def test_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    """300 MB pass through less than 120 MB, while other requests get their responses."""
    package = tmp_path / "package"
    with package.open("wb") as file:
        file.truncate(300_000_000)
    with ReceiverProcess(tmp_path / "store") as receiver:
        fields = announced(package, "hello:1.0")
        form = [argument for name, value in fields.items() for argument in ("-F", f"{name}={value}")]
        command = ["curl", "-sS", "-o", os.devnull, *form, "-F", f"package=@{package}", f"{receiver.url}/deploy"]
        with subprocess.Popen(command) as sending:
            answered = 0
            while sending.poll() is None:
                answered += httpx.get(f"{receiver.url}/healthz").status_code == 200
        peak = Path(f"/proc/{receiver.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert answered
    assert int(peak) < 120_000


def test_a_client_that_does_not_send_http_disturbs_no_other(tmp_path: Path) -> None:
    """It is refused, and the next one is served."""
    with ReceiverProcess(tmp_path / "store") as receiver:
        url = httpx.URL(receiver.url)
        assert url.port is not None
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert 200 == httpx.get(f"{receiver.url}/healthz").status_code
    assert receiver.lines == [f"listening on {receiver.url}", "stopping"]

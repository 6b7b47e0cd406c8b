"""What callers must not be able to do, tried through the node: nothing has happened in the world then."""

import asyncio
import gzip
import logging
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import (
    DeploymentSenderError,
    DeploymentSenderSettings,
    ErrorCode,
    ModelPackageTransferInput,
    ModelPackageTransferOutput,
    NodeDeploymentSenderEffect,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import (
    HttpTarget,
    HttpTargets,
    open_targets,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    DeployTargets,
    PackageContent,
    Progress,
    Receipt,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.resources import Openers
from support.archives.archives import config_of, image_archive, sha256
from support.archives.stored import keep_package
from support.engine.engines import FakeEngine
from support.eventually import eventually_in_thread
from support.receiver.process import ReceiverProcess
from support.receiver.scripted import ScriptedReceiver, receipt

SECRET = "s3cret-of-a-build"
UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
MISMATCH = ErrorCode.CHECKSUM_MISMATCH

# -- building ---------------------------------------------------------------------------------------------------------


class Builder:
    """A node with an engine that only counts, and a build context with something worth stealing beside it."""

    def __init__(self, folder: Path) -> None:
        self.engine = FakeEngine()
        self.store = folder / "store"
        self.context = folder / "context"
        self.context.mkdir()
        (self.context / "Dockerfile").write_text("FROM scratch\n")
        (folder / "Dockerfile").write_text("FROM elsewhere\n")
        (self.context / "link").symlink_to("../Dockerfile")
        (self.context / "up").symlink_to("..")
        (self.context / "loop").symlink_to("loop")
        (self.context / "folder").mkdir()
        os.mkfifo(self.context / "fifo")
        self.node = NodeDeploymentSenderEffect({"package_dir": str(self.store)}, openers=Openers(engine=self._open))

    async def _open(self, _: DeploymentSenderSettings) -> FakeEngine:
        self.engine.calls.append("open")
        return self.engine

    async def refused(self, **fields: Any) -> str:
        """Package what must not be; answer what was said. The engine heard nothing, and nothing was made."""
        image = {"container_name": "hello", "image_tag": "1.0", "build_context": str(self.context)} | fields
        with pytest.raises(DeploymentSenderError) as caught:
            await self.node.execute_effect({"input_data": {"operation": "package_container", "input": image}})
        assert (ErrorCode.VALIDATION_ERROR, [], False) == (caught.value.code, self.engine.calls, self.store.exists())
        assert 0 == (await self.node.get_metrics())["total_builds"]
        assert caught.value.recovery
        return str(caught.value)


@pytest.fixture
async def builder(tmp_path: Path) -> AsyncIterator[Builder]:
    """Make a builder, and close its node after the test."""
    builder = await asyncio.to_thread(Builder, tmp_path)
    yield builder
    await builder.node.cleanup()


@pytest.mark.parametrize("tag", ["1.0\n", "é", "１", "a" * 129, "-a", "", ".a", "a:b", "a@b", "../a", "a\0", 1, None])
async def test_tags_that_are_none(builder: Builder, tag: object) -> None:
    """The error names the field."""
    assert "image_tag" in await builder.refused(image_tag=tag)


@pytest.mark.parametrize(
    "name",
    ["A", "a//b", "a___b", "a" * 256, "0" * 64, "", "a:b", "a@sha256:b", "../a", "a\n", "é", "-a", "a/", 1, None],
)
async def test_names_that_are_none(builder: Builder, name: object) -> None:
    """Likewise."""
    assert "container_name" in await builder.refused(container_name=name)


@pytest.mark.parametrize(
    "dockerfile",
    [
        "../Dockerfile",
        "folder/../../Dockerfile",
        "link",
        "up/Dockerfile",
        "loop",
        "folder",
        "fifo",
        "absent",
        "",
        "a\0b",
    ],
)
async def test_dockerfiles_that_lead_out_or_are_none(builder: Builder, dockerfile: str) -> None:
    """By dots, by links, by what is no file; a FIFO holds nobody."""
    assert "dockerfile_path" in await asyncio.wait_for(builder.refused(dockerfile_path=dockerfile), 60)


async def test_an_absolute_dockerfile_outside(builder: Builder) -> None:
    """However the path to it is spelled."""
    outside = builder.context.parent / "Dockerfile"
    for spelling in (outside, "/etc/passwd", builder.context / ".." / "Dockerfile"):
        assert "is outside the build context" in await builder.refused(dockerfile_path=str(spelling))


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com/context.tar",
        "https://user:s3cret-of-a-build@example.com/x.git",
        "git://example.com/x",
        "git@example.com:x.git",
        "github.com/moby/moby",
        "-",
        "file:///etc",
        "ssh://example.com/x",
        "HTTP://EXAMPLE.COM",
    ],
)
async def test_contexts_that_an_engine_would_fetch(builder: Builder, address: str) -> None:
    """Only a folder is one."""
    assert "build_context" in await builder.refused(build_context=address)


@pytest.mark.parametrize(
    "name", ["context/Dockerfile", "context/fifo", "context/loop", "absent", "context/Dockerfile/."]
)
async def test_contexts_that_are_no_folder(builder: Builder, name: str) -> None:
    """A file, a FIFO, a link to itself, nothing at all."""
    assert "build_context" in await asyncio.wait_for(
        builder.refused(build_context=f"{builder.context.parent}/{name}"), 60
    )


@pytest.mark.parametrize(
    "build_args",
    [
        {"TOKEN": f"{SECRET}\0"},
        {"TOKEN": SECRET.ljust(1_000_000, "x")},
        {"TOKEN": SECRET.encode()},
        {"TOKEN": [SECRET]},
        {"TOKEN": {SECRET: SECRET}},
        {"TOKEN": None},
        {"TOKEN": 5},
        {"A=B": SECRET},
        {"": SECRET},
        {5: SECRET},
        [SECRET],
        SECRET,
    ],
)
async def test_build_args_that_are_none(builder: Builder, build_args: object, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the error nor a line of the log nor the traceback holds the value."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DeploymentSenderError) as caught:
        await builder.node.execute_effect(
            {
                "input_data": {
                    "operation": "package_container",
                    "input": {
                        "container_name": "hello",
                        "image_tag": "1.0",
                        "build_context": str(builder.context),
                        "build_args": build_args,
                    },
                }
            }
        )

    causes: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert SECRET not in " ".join([repr(caught.value), caplog.text, *map(str, causes), *map(repr, causes)])
    assert "build_args" in await builder.refused(build_args=build_args)


# -- sending ----------------------------------------------------------------------------------------------------------

Tamper = Callable[[Path], object]


class _Tampering(HttpTarget):
    """The real target; the package file is tampered with after its verification, just before it is sent."""

    sender: "Sender"

    async def deploy(self, content: PackageContent, on_sent: Callable[[int], None]) -> Receipt:
        self.sender.deploys += 1
        if self.sender.tamper is not None:
            await content.verified()
            await asyncio.to_thread(self.sender.tamper, self.sender.path)
        return await super().deploy(content, on_sent)


class _TamperingTargets(HttpTargets):
    """The real targets, each of which tampers."""

    sender: "Sender"

    def open(self, url: str) -> HttpTarget:
        target = _Tampering(url, self._client, self._signer)
        target.sender = self.sender
        return target


@cache
def _package() -> tuple[bytes, str]:
    """Three pieces, as they are sent, and the digest of the image's configuration."""
    layers = [os.urandom(3_000_000)]
    return gzip.compress(image_archive(layers=layers), compresslevel=1), f"sha256:{sha256(config_of(layers))}"


class Sender:
    """A node with a real package, and a receiver that is a real process and has nothing under way."""

    def __init__(self, folder: Path, receiver: ReceiverProcess) -> None:
        self.content, digest = _package()
        self.manifest, self.path = keep_package(folder, self.content, config_digest=digest)
        self.receiver = receiver
        self._before = set(self._packages())
        self.deploys = 0
        self.tamper: Tamper | None = None
        self.node = NodeDeploymentSenderEffect({"package_dir": str(folder)}, openers=Openers(targets=self._open))

    async def _open(self, settings: DeploymentSenderSettings) -> DeployTargets:
        opened = await open_targets(settings)
        targets = _TamperingTargets(opened._client, opened._signer)
        targets.sender = self
        return targets

    async def transfer(
        self, on_progress: Callable[[Progress], None] | None = None, **fields: Any
    ) -> ModelPackageTransferOutput:
        """Send the package, as far as the receiver's disk."""
        given = {"package_id": self.manifest.package_id, "remote_receiver_url": self.receiver.url} | fields
        request = ModelPackageTransferInput.read({"wait_for": "received"} | given)
        return await self.node.transfer_package(request, on_progress=on_progress)

    async def refused(self, **fields: Any) -> str:
        """Send what must not be sent, by contract; answer what was said. Nobody was asked for anything."""
        given = {"package_id": self.manifest.package_id, "remote_receiver_url": self.receiver.url} | fields
        with pytest.raises(DeploymentSenderError) as caught:
            await self.node.execute_effect({"input_data": {"operation": "transfer_package", "input": given}})
        assert (ErrorCode.VALIDATION_ERROR, 0) == (caught.value.code, self.deploys)
        assert 0 == (await self.node.get_metrics())["total_transfers"]
        assert [] == await self.received()
        return str(caught.value)

    async def received(self) -> list[bytes]:
        """The packages that the receiver keeps since this sender is there; nothing else stays in its store."""
        assert await eventually_in_thread(lambda: not any((self.receiver.store / "staging").glob("*")))
        return [path.read_bytes() for path in self._packages() if path not in self._before]

    def _packages(self) -> list[Path]:
        return list((self.receiver.store / "packages").glob("*/package"))


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """A receiver without an engine, which is not needed here: only what it stores is checked."""
    folder = tmp_path_factory.mktemp("receiver")
    with ReceiverProcess(folder, environ={"DOCKER_HOST": f"unix://{folder}/no-engine.sock"}) as process:
        yield process


@pytest.fixture
async def sender(tmp_path: Path, receiver: ReceiverProcess) -> AsyncIterator[Sender]:
    """Make a sender, and close its node after the test."""
    sender = await asyncio.to_thread(Sender, tmp_path / "sender", receiver)
    yield sender
    await sender.node.cleanup()


@pytest.mark.parametrize(
    "package_id",
    [
        "../../etc",
        "/etc/passwd",
        "",
        "x",
        UUID.upper(),
        f"{UUID}\n",
        f"{{{UUID}}}",
        UUID.replace("-", ""),
        "a\0b",
        5,
        None,
    ],
)
async def test_package_ids_that_are_none(sender: Sender, package_id: object) -> None:
    """They become the name of a folder."""
    assert "package_id" in await sender.refused(package_id=package_id)


async def test_a_package_that_is_not_there(sender: Sender) -> None:
    """The message tells where to look."""
    assert "`deployment-sender packages` lists" in await sender.refused(package_id=UUID)


async def test_package_paths_that_are_another_file(sender: Sender, tmp_path: Path) -> None:
    """Outside the store, another file of the store, a link to the very file, a folder, or no path at all."""
    link = tmp_path / "link"
    link.symlink_to(sender.path)
    through = tmp_path / "through"
    through.symlink_to(sender.path.parent)
    other = (await asyncio.to_thread(keep_package, tmp_path / "sender", b"another"))[1]
    paths = ["/etc/passwd", link, through / sender.path.name, other, sender.path.parent, f"{sender.path}\0", "package"]
    paths += [sender.path.parent / "manifest.json", sender.path / ".." / ".." / ".." / "etc" / "passwd"]
    for path in paths:
        assert "package_path is not the file of this package" in await sender.refused(package_path=str(path))


@pytest.mark.parametrize("linked", ["file", "folder"])
async def test_a_link_in_the_store_is_not_followed(sender: Sender, tmp_path: Path, linked: str) -> None:
    """Not even where the caller's path is spelled right."""
    real = tmp_path / "real"
    place = sender.path if linked == "file" else sender.path.parent
    place.rename(real)
    place.symlink_to(real)
    if linked == "folder":
        assert "there is no package" in await sender.refused(package_path=str(sender.path))
    else:
        assert MISMATCH is (await sender.transfer(package_path=str(sender.path))).error_code
        assert [] == await sender.received()


def _flip(position: float) -> Tamper:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(position * (len(content) - 1))] ^= 1
        _in_place(path, bytes(content))

    return flip


def _in_place(path: Path, content: bytes) -> None:
    """Write into the same file, which others may have open."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


DAMAGES: list[Tamper] = [
    _flip(0),
    _flip(0.5),
    _flip(1),
    lambda path: os.truncate(path, path.stat().st_size - 1),
    lambda path: os.truncate(path, 0),
    lambda path: _in_place(path, path.read_bytes() + b"\0"),
    Path.unlink,
]


@pytest.mark.parametrize(("damage", "attempts"), list(zip(DAMAGES, [1, 1, 1, 0, 0, 0, 0], strict=True)))
async def test_a_damaged_package_never_arrives(sender: Sender, damage: Tamper, attempts: int) -> None:
    """A bit, a cut, a byte more, no file: it is not sent, or not to its end; put right, the same node sends it."""
    damage(sender.path)

    failed = await sender.transfer()
    assert (False, MISMATCH, 0) == (failed.success, failed.error_code, failed.bytes_transferred)
    assert (attempts, attempts) == (failed.attempts, sender.deploys)
    assert [] == await sender.received()

    sender.path.write_bytes(sender.content)
    assert (await sender.transfer()).success
    assert [sender.content] == await sender.received()


@pytest.mark.parametrize("damage", DAMAGES[:3])
async def test_a_receiver_that_checks_nothing_has_no_damaged_package_either(sender: Sender, damage: Tamper) -> None:
    """The last piece of the file is not sent."""
    damage(sender.path)

    async with ScriptedReceiver(receipt()) as careless:
        failed = await sender.transfer(remote_receiver_url=careless.url)
        assert await eventually_in_thread(lambda: careless.idle)
        sent = [len(heard.body) for heard in careless.heard]

    assert (False, MISMATCH) == (failed.success, failed.error_code)
    assert all(size < len(sender.content) for size in sent)


@pytest.mark.parametrize("damage", DAMAGES[:3])
async def test_a_receiver_notices_what_a_sender_did_not_look_for(sender: Sender, damage: Tamper) -> None:
    """Without a check before the send, once, and it keeps nothing; put right, it takes the same package."""
    damage(sender.path)

    failed = await sender.transfer(verify_checksum=False)
    assert (False, MISMATCH, 1) == (failed.success, failed.error_code, failed.attempts)
    assert [] == await sender.received()

    sender.path.write_bytes(sender.content)
    assert (await sender.transfer(verify_checksum=False)).success
    assert [sender.content] == await sender.received()


@pytest.mark.parametrize("damage", DAMAGES[:5])
async def test_a_file_that_is_changed_between_the_check_and_the_send(sender: Sender, damage: Tamper) -> None:
    """What was written into the very file that was hashed is noticed, by the receiver or where the file ends."""
    sender.tamper = damage

    failed = await sender.transfer()

    assert (False, MISMATCH, 1) == (failed.success, failed.error_code, failed.attempts)
    assert [] == await sender.received()


@pytest.mark.parametrize(
    "swap",
    [
        lambda path: Path(f"{path}.new").write_bytes(b"another") and Path(f"{path}.new").rename(path),
        lambda path: path.unlink() or path.symlink_to("/etc/passwd"),
        lambda path: path.unlink() or path.write_bytes(b"another"),
        lambda path: path.parent.rename(path.parent.with_name(UUID)),
        lambda path: _in_place(path, path.read_bytes() + b"more"),
        Path.unlink,
    ],
)
async def test_a_name_that_is_swapped_between_the_check_and_the_send(sender: Sender, swap: Tamper) -> None:
    """The bytes that were hashed are the bytes that are sent, whatever has their name by now."""
    sender.tamper = swap

    sent = await sender.transfer()

    assert (True, True, len(sender.content)) == (sent.success, sent.checksum_verified, sent.bytes_transferred)
    assert [sender.content] == await sender.received()


@pytest.mark.parametrize(
    "damage", [lambda file: os.pwrite(file, b"?", 2_900_000), lambda file: os.ftruncate(file, 2_000_000)]
)
async def test_a_file_that_is_changed_while_it_is_sent(sender: Sender, damage: Callable[[int], object]) -> None:
    """Behind the place where the sender is just now."""
    told: list[int] = []
    with sender.path.open("r+b", buffering=0) as file:

        def on_progress(progress: Progress) -> None:
            if told == [0]:
                damage(file.fileno())
            told.append(progress.done_bytes)

        failed = await sender.transfer(on_progress)

    assert (1 << 20, False, MISMATCH, 1) == (told[1], failed.success, failed.error_code, failed.attempts)
    assert [] == await sender.received()


async def test_after_all_that_the_receiver_is_well(sender: Sender) -> None:
    """It answers, has counted what it refused, and takes the next package."""
    async with httpx.AsyncClient(base_url=sender.receiver.url, trust_env=False) as client:
        assert 200 == (await client.get("/healthz")).status_code
        assert re.search(r"uploads_refused_total [1-9]", (await client.get("/metrics")).text)
    assert (await sender.transfer()).success

"""The check beside a transfer: what it finds is told, and it ends with what it stands beside."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore, StoredPackage
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Span
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.source import (
    check_package_path,
    disk_errors_of_a_transfer,
    verify_while_sending,
)
from support.archives.stored import keep_package

LARGE_BYTES = 1 << 40  # sparse; nobody hashes that in a test's time


@pytest.fixture
def package(tmp_path: Path) -> Iterator[StoredPackage]:
    """An open package."""
    manifest, _ = keep_package(tmp_path, os.urandom(5_000_000))
    with PackageStore(tmp_path).open(manifest.package_id) as package:
        yield package


@pytest.fixture
def large(tmp_path: Path) -> Iterator[StoredPackage]:
    """An open package that takes long to check."""
    manifest, path = keep_package(tmp_path, b"", size_bytes=LARGE_BYTES)
    os.truncate(path, LARGE_BYTES)
    with PackageStore(tmp_path).open(manifest.package_id) as package:
        yield package


def checkers() -> list[threading.Thread]:
    """List the threads that check."""
    return [thread for thread in threading.enumerate() if thread.name == "deployment-sender"]


async def end(threads: list[threading.Thread]) -> None:
    """Expect that one thread checked, and that it is out of its work; the rest of it takes a moment."""
    assert 1 == len(threads)
    await asyncio.to_thread(threads[0].join, 5)
    assert [] == checkers()


async def test_the_body_may_wait_for_the_check(package: StoredPackage) -> None:
    """It ends well for a package that is what it was, and is timed."""
    span = Span()
    async with verify_while_sending(package, span, verify=True) as check:
        assert check is not None
        await check

    assert span.stages_ms["check"] > 0


async def test_a_body_that_is_faster_does_not_end_without_it(package: StoredPackage) -> None:
    """What the check finds comes out."""
    with package.path.open("r+b") as file:
        file.write(b"?" * 10)

    with pytest.raises(DeploymentSenderError, match="was not sent to its end") as caught:
        async with verify_while_sending(package, Span(), verify=True):
            pass
    assert ErrorCode.CHECKSUM_MISMATCH is caught.value.code


async def test_nobody_looks_where_it_is_not_wanted(package: StoredPackage) -> None:
    """There is nothing to wait for."""
    async with verify_while_sending(package, Span(), verify=False) as check:
        assert check is None


async def test_a_body_that_fails_ends_the_check(large: StoredPackage) -> None:
    """Its error comes out, and no thread goes on."""
    threads = []

    async def fail() -> None:
        async with verify_while_sending(large, Span(), verify=True):
            await asyncio.sleep(0.05)
            threads.extend(checkers())
            raise KeyError("the body's own")

    with pytest.raises(KeyError, match="the body's own"):
        await fail()
    await end(threads)


async def test_a_cancellation_ends_the_check(large: StoredPackage) -> None:
    """However often it comes."""

    async def check() -> None:
        async with verify_while_sending(large, Span(), verify=True):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(check())
    await asyncio.sleep(0.05)
    threads = checkers()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    await end(threads)


def test_a_disk_that_refuses_fails_the_transfer() -> None:
    """Reading is no build: the code is the transfer's, the words are the disk's."""
    with pytest.raises(DeploymentSenderError, match="cannot read") as caught, disk_errors_of_a_transfer():
        raise DeploymentSenderError(ErrorCode.BUILD_FAILED, "cannot read it", recovery="Check the disk.")

    assert (ErrorCode.TRANSFER_FAILED, "Check the disk.") == (caught.value.code, caught.value.recovery)


def test_package_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's own path passes, however it is spelled."""
    expected = tmp_path / "packages" / "id" / "image.tar.gz"
    monkeypatch.chdir(tmp_path)

    check_package_path(str(expected), expected)
    check_package_path("packages/./id/../id/image.tar.gz", expected)


def test_another_package_path(tmp_path: Path) -> None:
    """Any other path is refused, a link to the file included."""
    expected = tmp_path / "image.tar.gz"
    expected.touch()
    (tmp_path / "link").symlink_to(expected)

    for path in ("/etc/passwd", str(tmp_path), str(tmp_path / "link")):
        with pytest.raises(DeploymentSenderError) as caught:
            check_package_path(path, expected)
        assert caught.value.code is ErrorCode.VALIDATION_ERROR

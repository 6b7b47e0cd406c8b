"""The verification beside a transfer: its result is reported, and it ends with the transfer."""

import asyncio
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    InvalidInputError,
    PackageDamagedError,
    StorageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore, StoredPackage
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Span
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.source import (
    check_package_path,
    verify_while_sending,
)
from support.archives.stored import keep_package
from support.eventually import eventually

LARGE_BYTES = 1 << 40  # 1 TiB, sparse: hashing it takes longer than any test


@pytest.fixture
def package(tmp_path: Path) -> Iterator[StoredPackage]:
    """An open package."""
    manifest, _ = keep_package(tmp_path, os.urandom(5_000_000))
    with PackageStore(tmp_path).open(manifest.package_id) as package:
        yield package


@pytest.fixture
def large(tmp_path: Path) -> Iterator[StoredPackage]:
    """An open package that takes long to verify."""
    manifest, path = keep_package(tmp_path, b"", size_bytes=LARGE_BYTES)
    os.truncate(path, LARGE_BYTES)
    with PackageStore(tmp_path).open(manifest.package_id) as package:
        yield package


def verifiers() -> list[threading.Thread]:
    """Return the threads that verify."""
    return [thread for thread in threading.enumerate() if thread.name == "deployment-sender"]


async def end(threads: list[threading.Thread]) -> None:
    """Expect that one thread verified, and that it ends."""
    assert 1 == len(threads)
    await asyncio.to_thread(threads[0].join, 5)
    assert [] == verifiers()


async def test_the_body_can_wait_for_the_verification(package: StoredPackage) -> None:
    """It succeeds for a package that has not changed, and is timed."""
    span = Span()
    async with verify_while_sending(package, span, verify=True) as verified:
        await verified()
        await verified()

    assert span.stages_ms["check"] > 0


async def test_a_faster_body_waits_for_the_verification(package: StoredPackage) -> None:
    """Its error is raised at the end of the body."""
    with package.path.open("r+b") as file:
        file.write(b"?" * 10)

    with pytest.raises(PackageDamagedError, match="was not sent to its end"):
        async with verify_while_sending(package, Span(), verify=True):
            pass


async def test_without_verification_nothing_is_hashed(large: StoredPackage) -> None:
    """There is nothing to wait for."""
    async with verify_while_sending(large, Span(), verify=False) as verified:
        await verified()

        assert [] == verifiers()


async def test_a_body_that_fails_ends_the_verification(large: StoredPackage) -> None:
    """The body's error is raised, and the thread ends."""
    threads = []

    async def fail() -> None:
        async with verify_while_sending(large, Span(), verify=True):
            threads.extend(await eventually(verifiers))
            raise KeyError("the body's own")

    with pytest.raises(KeyError, match="the body's own"):
        await fail()
    await end(threads)


async def test_a_cancellation_ends_the_verification(large: StoredPackage) -> None:
    """Repeated cancellations change nothing."""

    async def verify() -> None:
        async with verify_while_sending(large, Span(), verify=True):
            await asyncio.sleep(60)

    task = asyncio.ensure_future(verify())
    threads = await eventually(verifiers)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    await end(threads)


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
        with pytest.raises(InvalidInputError):
            check_package_path(path, expected)


async def test_a_disk_that_refuses_is_a_storage_error(package: StoredPackage) -> None:
    """A descriptor that is open for writing only stands for it."""
    with package.path.open("ab", buffering=0) as file, pytest.raises(StorageError, match="cannot read"):
        async with verify_while_sending(replace(package, file=file), Span(), verify=True):
            pass

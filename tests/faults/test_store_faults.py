"""A disk that is full, limited or broken, and processes that are killed: each package is there whole, or not at all."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore
from support.archives.stored import keep_package
from support.engine.packaging import SMALL, Packaging
from support.engine.proxy import EngineProxy
from support.eventually import eventually_in_thread
from support.process.disks import small_disk
from support.process.durability import Durability
from support.process.nursery import Child, Nursery, SystemCall

BUILD_FAILED = ErrorCode.BUILD_FAILED
LARGE = "FROM BASE\nRUN head -c 5000000 /dev/urandom > /large"
ROOM_BYTES = 1_000_000


def _whole(folder: Path) -> list[str]:
    """Answer the ids of the packages in a store, each of which must be there whole."""
    store = PackageStore(folder)
    found = []
    for manifest in store.list():
        with store.open(manifest.package_id) as package:
            assert manifest.checksum == blake3(package.file.read()).hexdigest()
        found.append(manifest.package_id)
    names = [one.name for one in (folder / "packages").iterdir()] if (folder / "packages").exists() else []
    assert sorted(names) == sorted(found)
    return found


def _staged(folder: Path) -> list[str]:
    return [one.name for one in (folder / "staging").iterdir()] if (folder / "staging").exists() else []


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
async def test_a_store_without_room(packaging: Packaging, compression: str) -> None:
    """BUILD_FAILED that names the disk; what fits is packaged by the same node."""
    with small_disk(packaging.folder, ROOM_BYTES) as disk:
        async with packaging.node() as node:
            result = await packaging.fails(node, BUILD_FAILED, LARGE, compression=compression)
            assert f"the disk mounted at {disk} is full" in str(result.error_message)
            assert f"Free space on {disk}, then call again." == result.recovery

            await packaging.works(node)


@pytest.mark.parametrize("files", range(1, 6))
async def test_a_store_without_room_for_a_name(packaging: Packaging, files: int) -> None:
    """The same where not even a folder, or the manifest, can be made: wherever in the writing that is."""
    async with packaging.node() as node:
        with small_disk(packaging.folder, ROOM_BYTES, files) as disk:
            result = await packaging.fails(node, BUILD_FAILED)
            assert f"the disk mounted at {disk} is full" in str(result.error_message)

        await packaging.works(node)


def _packaged(nursery: Nursery, packaging: Packaging, *dockerfiles: str, **limits: Any) -> list[dict[str, Any]]:
    """Package in a child."""
    contracts = [packaging.contract(dockerfile) for dockerfile in dockerfiles]
    child = nursery.child("support.process.children:package", packaging.settings(), contracts, *limits.values())
    results: list[dict[str, Any]] = child.begin().end()
    packaging.outputs.append(str(results))
    return results


def test_a_file_size_limit(nursery: Nursery, packaging: Packaging) -> None:
    """BUILD_FAILED that tells it from a full disk; what fits is packaged by the same node."""
    failed, works = _packaged(nursery, packaging, LARGE, SMALL, file_bytes=ROOM_BYTES)

    assert (BUILD_FAILED, True) == (failed["error_code"], "file-size limit" in failed["error_message"])
    assert "ulimit -f" in failed["recovery"]
    assert ([works["package_id"]], []) == (_whole(packaging.folder), _staged(packaging.folder))


def test_temporary_files_without_room(nursery: Nursery, packaging: Packaging, tmp_path: Path) -> None:
    """BUILD_FAILED that names that disk, not the context's: the context is packed there."""
    (packaging.context / "large").write_bytes(bytes(2 * ROOM_BYTES))
    with small_disk(tmp_path / "temporary", ROOM_BYTES) as disk:
        (failed,) = _packaged(nursery, packaging, SMALL, file_bytes=None, temporary=str(disk))

    assert BUILD_FAILED == failed["error_code"]
    assert f"the disk mounted at {disk} is full" in failed["error_message"]
    assert f"Free space on {disk}, then call again." == failed["recovery"]


def test_no_temporary_files_at_all(nursery: Nursery, packaging: Packaging) -> None:
    """BUILD_FAILED that names the folders in which none could be made."""
    (failed,) = _packaged(nursery, packaging, SMALL, file_bytes=0)

    assert (BUILD_FAILED, True) == (failed["error_code"], "No usable temporary directory" in failed["error_message"])
    assert "TMPDIR" in failed["recovery"]


def _calls(nursery: Nursery, work: str, *arguments: Any) -> list[SystemCall]:
    """Answer the system calls of a child that nothing happens to."""
    child = nursery.child(work, *arguments).trace().begin()
    assert child.end() is not None
    return child.calls()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk in memory: quick, and as good as any other where strace does the damage."""
    with small_disk(tmp_path / "disk", 100_000_000) as disk:
        yield disk


def test_a_disk_that_cannot_make_durable(nursery: Nursery, packaging: Packaging, disk: Path) -> None:
    """EIO at each fsync: BUILD_FAILED, nothing stays, and what is acknowledged after that is durable."""
    work, contract = "support.process.children:package_until_kept", packaging.contract()
    calls = _calls(nursery, work, packaging.settings(package_dir=str(disk / "untouched")), contract)

    def fails(nth: int) -> None:
        folder = disk / str(nth)
        child = nursery.child(work, packaging.settings(package_dir=str(folder)), contract)
        # Each of the node's threads fails there once, as soon as it is so far.
        *failed, last = child.trace(f"fsync:error=EIO:when={nth}").begin().end()
        assert failed, nth
        for one in failed:
            assert (BUILD_FAILED, True) == (one["error_code"], "reports an error" in one["error_message"]), nth
            assert "dmesg" in one["recovery"]
        assert ([last["package_id"]], []) == (_whole(folder), _staged(folder)), nth
        assert _durable(folder, last["package_id"], child), nth
        assert not _synced_again(child.calls()), nth

    with ThreadPoolExecutor(2) as both:
        list(both.map(fails, range(1, _count(calls, "fsync") + 1)))


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_disk_that_stays_broken(nursery: Nursery, packaging: Packaging, disk: Path, last: int) -> None:
    """EIO from one of the last fsyncs on, and no rename goes back: what a restart finds is whole; what is not, goes."""
    contracts = [packaging.contract()]
    untouched, broken = (packaging.settings(package_dir=str(disk / name)) for name in ("untouched", "broken"))
    nth = _count(_calls(nursery, "support.process.children:package", untouched, contracts), "fsync") + 1 - last
    child = nursery.child("support.process.children:package", broken, contracts)
    (failed,) = child.trace(f"fsync:error=EIO:when={nth}+", "rename:error=EIO:when=2+").begin().end()
    assert BUILD_FAILED == failed["error_code"]
    found = _whole(disk / "broken")

    (works,) = nursery.child("support.process.children:package", broken, contracts).begin().end()
    assert ({*found, works["package_id"]}, []) == (set(_whole(disk / "broken")), _staged(disk / "broken"))


def _count(calls: Sequence[SystemCall], name: str) -> int:
    return sum(call.name == name for call in calls)


def _durable(folder: Path, package_id: str, *children: Child) -> bool:
    """Tell whether a package would be there after a power cut."""
    disk = Durability()
    for child in children:
        disk.follow(child.calls())
    return all(disk.holds(file) for file in (folder / "packages" / package_id).iterdir())


def _synced_again(calls: Sequence[SystemCall]) -> bool:
    """Tell whether a descriptor was synced again after that had failed."""
    for number, call in enumerate(calls):
        if call.name == "fsync" and "EIO" in call.line:
            descriptor = call.line.partition("<")[0].partition("(")[2]
            later = (one.name for one in calls[number + 1 :] if f"({descriptor}<" in one.line)
            return next(name for name in later if name in {"fsync", "close"}) == "fsync"
    return False


PROCESS_CALLS = {"brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "getrandom", "futex", "exit_group"}


@pytest.mark.parametrize("is_new", [True, False], ids=["a new store", "a store with a past"])
def test_a_kill_at_every_system_call(nursery: Nursery, disk: Path, is_new: bool) -> None:
    """The package is absent or whole; the next start sweeps what is left, and what it then keeps is durable."""
    calls = _calls(nursery, "support.process.children:keep", str(_store(disk / "untouched", is_new)))
    counted = Counter(call.name for call in calls if call.name not in PROCESS_CALLS)
    points = [(name, nth) for name, count in counted.items() for nth in range(1, count + 1)]
    assert {"mkdir", "openat", "write", "fsync", "rename", "flock"} <= set(counted)

    def killed(point: tuple[str, int]) -> bool:
        name, nth = point
        folder = _store(disk / f"{name}-{nth}", is_new)
        old = _whole(folder)
        child = (
            nursery.child("support.process.children:keep", str(folder)).trace(f"{name}:signal=KILL:when={nth}").begin()
        )
        answer = child.end()
        found = _whole(folder)
        assert (True, True) == (set(old) <= set(found), len(found) <= len(old) + 1), point

        next_child = nursery.child("support.process.children:keep", str(folder)).trace().begin()
        kept = next_child.end()
        assert ({*found, kept}, []) == (set(_whole(folder)), _staged(folder)), point
        assert _durable(folder, kept, child, next_child), point
        return answer is None

    with ThreadPoolExecutor(2) as both:
        assert [True] * len(points) == list(both.map(killed, points))


def _store(folder: Path, is_new: bool) -> Path:
    """Name a new store, or make one with a package and with what somebody has left who was killed."""
    if not is_new:
        keep_package(folder, b"old")
        left = folder / "staging" / "7c9e6679-7425-40de-944b-e07fc1f90ae7"
        left.mkdir()
        (left / "image.tar.gz").write_bytes(b"half")
    return folder


async def test_a_sweep_spares_the_living(nursery: Nursery, packaging: Packaging, proxy: EngineProxy) -> None:
    """Another process starts, sweeps and packages while one is in the middle of an export: both packages are whole."""
    proxy.hold_after_bytes = ROOM_BYTES
    settings = packaging.settings(docker_host=proxy.docker_host)
    child = nursery.child("support.process.children:package", settings, [packaging.contract(LARGE)]).begin()
    assert await eventually_in_thread(proxy.held.is_set)
    staged = _staged(packaging.folder)
    async with packaging.node() as node:
        result = await packaging.package(node)
    assert (True, True, 1) == (result.success, staged == _staged(packaging.folder), len(staged))

    proxy.release()
    (other,) = await asyncio.to_thread(child.end)
    assert {result.package_id, other["package_id"]} == set(await asyncio.to_thread(_whole, packaging.folder))
    assert [] == _staged(packaging.folder)


async def test_a_sweep_takes_after_the_killed(nursery: Nursery, packaging: Packaging, proxy: EngineProxy) -> None:
    """What a process was writing when it was killed goes with the next start; who lives is not disturbed."""
    proxy.hold_after_bytes = ROOM_BYTES
    settings = packaging.settings(docker_host=proxy.docker_host)
    child = nursery.child("support.process.children:package", settings, [packaging.contract(LARGE)]).begin()
    assert await eventually_in_thread(proxy.held.is_set)
    async with packaging.node() as node:
        await packaging.package(node)
        child.send(signal.SIGKILL)
        assert await asyncio.to_thread(child.end) is None
        assert 1 == len(_staged(packaging.folder))
        async with packaging.node() as started_later:
            await packaging.works(started_later)
        await packaging.works(node)
    assert 3 == len(await asyncio.to_thread(_whole, packaging.folder))


def test_many_on_one_store(nursery: Nursery, tmp_path: Path) -> None:
    """Two start, sweep and keep again and again, while others are killed: nobody clashes, nothing is lost."""
    folder = tmp_path / "store"
    living = [nursery.child("support.process.children:keep_often", str(folder), 60) for _ in range(2)]
    for child in living:
        child.begin()
    killed = 0
    while not all(child.ended() for child in living):
        child = nursery.child("support.process.children:keep_often", str(folder), 60).begin()
        time.sleep(random.uniform(0, 0.05))
        child.send(signal.SIGKILL)
        killed += child.end() is None

    kept = {package_id for child in living for package_id in child.end()}
    found = set(_whole(folder))
    assert (120, True, True) == (len(kept), kept <= found, killed > 0)
    nursery.child("support.process.children:keep", str(folder)).begin().end()
    assert ([], True) == (_staged(folder), found < set(_whole(folder)))


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_package_over_the_limit(nursery: Nursery, packaging: Packaging, proxy: EngineProxy, compression: str) -> None:
    """PACKAGE_TOO_LARGE: not a byte over the limit is written, and the export stops there."""
    settings = packaging.settings(max_package_size_gb=ROOM_BYTES / 1e9, docker_host=proxy.docker_host)
    contracts = [packaging.contract("FROM BASE\nRUN head -c 50000000 /dev/urandom > /large", compression=compression)]
    contracts.append(packaging.contract())
    # A byte more, and the kernel would say so: BUILD_FAILED.
    child = nursery.child("support.process.children:package", settings, contracts, ROOM_BYTES)
    failed, works = child.begin().end()

    assert ErrorCode.PACKAGE_TOO_LARGE == failed["error_code"]
    assert str(ROOM_BYTES) in failed["error_message"]
    # zstd's two threads take 8 MB each before the first byte comes out of them.
    assert proxy.exported_bytes < 25_000_000
    assert ([works["package_id"]], []) == (_whole(packaging.folder), _staged(packaging.folder))

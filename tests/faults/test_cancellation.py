"""A cancelled operation: the work itself stops, threads end, no file stays, and the caller is free at once."""

import asyncio
import fcntl
import os
import random
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode, ModelContainerPackageOutput
from support.archives.stored import keep_package
from support.engine.packaging import Packaging
from support.engine.proxy import EngineProxy
from support.eventually import eventually_in_thread
from support.process.nursery import Nursery
from support.receiver.scripted import Reply, ScriptedReceiver

# What is cancelled would go on for hours: who waited for it would not come to the end within a test's time-out.
SLEEP = f"sleep {random.randint(300_000, 399_999)}"
LARGE = "FROM BASE\nRUN head -c 30000000 /dev/urandom > /large"


async def _cancel(task: asyncio.Task[Any], times: int = 1) -> None:
    """Cancel a task, again before it has come to its end if need be; see that it says so."""
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


def _run(journey: Coroutine[Any, Any, None]) -> None:
    """Run as a program does; see that no thread is left."""
    before = set(threading.enumerate())
    asyncio.run(journey)
    for thread in set(threading.enumerate()) - before:
        thread.join(1)  # it has said that its work is over, and takes a moment to go
    assert set() == set(threading.enumerate()) - before


def _working(packaging: Packaging) -> list[str]:
    containers = packaging.engine.api.containers(all=True)
    return [container["Id"] for container in containers if SLEEP in container["Command"]]


@pytest.mark.parametrize("times", [1, 2])
def test_in_a_build(packaging: Packaging, times: int) -> None:
    """The engine's container goes, there is no image, and `asyncio.run` does not wait for the build."""
    contract = packaging.contract(f"FROM BASE\nRUN {SLEEP}")

    async def journey() -> None:
        async with packaging.node() as node:
            build = asyncio.create_task(node.execute_effect(contract))
            assert await eventually_in_thread(lambda: _working(packaging))
            await _cancel(build, times)
            await packaging.works(node)

    _run(journey())
    assert asyncio.run(eventually_in_thread(lambda: not _working(packaging)))
    given = contract["input_data"]["input"]
    assert [] == packaging.engine.api.images(name=f"{given['container_name']}:{given['image_tag']}")


def test_in_the_packing_of_a_context(packaging: Packaging) -> None:
    """While a large one is packed."""
    with (packaging.context / "sparse").open("wb") as sparse:
        sparse.truncate(8_000_000_000_000)

    async def journey() -> None:
        async with packaging.node() as node:
            build = asyncio.create_task(packaging.package(node))
            assert await eventually_in_thread(lambda: _descriptors(packaging.context / "sparse"))
            await _cancel(build)
            await asyncio.to_thread((packaging.context / "sparse").unlink)
            await packaging.works(node)

    _run(journey())


def test_in_the_sending_of_a_context(packaging: Packaging, proxy: EngineProxy) -> None:
    """To an engine that does not take it."""
    proxy.hold_builds = True
    (packaging.context / "large").write_bytes(bytes(20_000_000))

    async def journey() -> None:
        async with packaging.node(docker_host=proxy.docker_host) as node:
            build = asyncio.create_task(packaging.package(node))
            assert await eventually_in_thread(proxy.held.is_set)
            await _cancel(build)
            proxy.release()
            await packaging.works(node)

    _run(journey())


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("passed", [0, 10_000_000], ids=["in the silence", "in the stream"])
def test_in_an_export(packaging: Packaging, proxy: EngineProxy, passed: int, times: int) -> None:
    """Before the first byte and after some; the half-written package goes."""
    proxy.hold_after_bytes = passed

    async def journey() -> None:
        async with packaging.node(docker_host=proxy.docker_host) as node:
            export = asyncio.create_task(packaging.package(node, LARGE))
            assert await eventually_in_thread(proxy.held.is_set)
            await _cancel(export, times)
            assert [] == packaging.files()
            proxy.release()
            await packaging.works(node)

    _run(journey())


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_in_the_compression(packaging: Packaging, proxy: EngineProxy, compression: str) -> None:
    """Wherever the threads are just then; the end of the archive does not come before the cancel."""
    proxy.hold_after_bytes = 25_000_000

    async def journey() -> None:
        async with packaging.node(docker_host=proxy.docker_host) as node:
            export = asyncio.create_task(packaging.package(node, LARGE, compression=compression))
            assert await eventually_in_thread(lambda: any(size > 1_000_000 for size in _sizes(packaging)))
            await _cancel(export)
            assert [] == packaging.files()
            proxy.release()
            await packaging.works(node)

    _run(journey())


def _sizes(packaging: Packaging) -> list[int]:
    return [path.stat().st_size for path in packaging.folder.glob("staging/*/*")]


def _transfer(package_id: str, url: str) -> dict[str, Any]:
    given = {"package_id": package_id, "remote_receiver_url": url}
    return {"input_data": {"operation": "transfer_package", "input": given}}


@pytest.mark.parametrize("times", [1, 2])
def test_in_an_upload(packaging: Packaging, times: int) -> None:
    """The connection is closed, the package stays as it was, and no descriptor is left open."""
    manifest, path = keep_package(packaging.folder, os.urandom(20_000_000))

    async def journey() -> None:
        slow = Reply(read_bytes=1_000_000, delay_seconds=3600)
        async with ScriptedReceiver(slow) as receiver, packaging.node(idle_timeout_seconds=3600) as node:
            transfer = asyncio.create_task(node.execute_effect(_transfer(manifest.package_id, receiver.url)))
            assert await eventually_in_thread(lambda: receiver.heard and len(receiver.heard[0].body) == 1_000_000)
            assert 1 == _descriptors(path)
            await _cancel(transfer, times)
            assert 0 == _descriptors(path)
            await packaging.works(node)

    _run(journey())
    assert 20_000_000 == path.stat().st_size


def test_in_the_resolution_of_a_name(packaging: Packaging, nursery: Nursery, tmp_path: Path) -> None:
    """Nobody can break that off; the caller is free nevertheless, and so is `asyncio.run`."""
    if os.geteuid() != 0:
        pytest.skip("only root may ask another name server")
    manifest, _ = keep_package(packaging.folder, b"a package")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.1"
        silent.bind((address, 53))
        # Of resolv.conf(5) the longest: 150 s.
        (tmp_path / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:30 attempts:5\n")
        contract = _transfer(manifest.package_id, "http://receiver.example:8001")
        arguments = [packaging.settings(), contract, str(tmp_path / "resolv.conf")]
        nursery.child("support.process.children:resolve", *arguments).begin().end(100)


def _descriptors(path: Path) -> int:
    return sum(one.resolve() == path for one in Path("/proc/self/fd").iterdir())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def _kept(folder: Path) -> Path:
    """Wait until a package has its final name and the loop, which stands still, has not heard of it."""
    (folder / "staging").mkdir(parents=True)
    with _locked(folder / "staging"):
        assert await eventually_in_thread(_waits_for_a_lock)
    while not (found := list(folder.glob("packages/*"))):
        pass
    with _locked(found[0]):  # nobody has it who still writes it
        return found[0]


def _waits_for_a_lock() -> bool:
    """Tell whether a thread of ours waits for a lock, as /proc/locks shows it (proc(5))."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("-> FLOCK" in line and f" {os.getpid()} " in line for line in lines)


def test_after_the_end_and_while_that_is_undone(packaging: Packaging) -> None:
    """What a cancelled caller will never hear of is removed, and that is waited for, however often it is cancelled."""

    async def journey() -> None:
        async with packaging.node() as node:
            task = asyncio.create_task(packaging.package(node))
            with _locked(await _kept(packaging.folder)):
                for _ in range(3):
                    task.cancel()
                    assert await eventually_in_thread(_waits_for_a_lock)
                assert not task.done()
            await _cancel(task)
            assert [] == packaging.files()
            await packaging.works(node)

    _run(journey())


def test_after_the_end_when_it_cannot_be_undone(packaging: Packaging, caplog: pytest.LogCaptureFixture) -> None:
    """It stays a cancellation; the log tells what is left."""

    async def journey() -> None:
        async with packaging.node() as node:
            task = asyncio.create_task(packaging.package(node))
            (await _kept(packaging.folder)).rename(packaging.folder / "taken away")
            await _cancel(task)
            await packaging.works(node)

    _run(journey())
    assert "cannot remove package" in caplog.text


def test_in_the_clean_up(packaging: Packaging) -> None:
    """`cleanup()` ends a build that goes on; when it is cancelled, everything is closed nevertheless."""
    contract = packaging.contract(f"FROM BASE\nRUN {SLEEP}")

    async def journey() -> None:
        node = packaging.node()
        build = asyncio.create_task(node.execute_effect(contract))
        assert await eventually_in_thread(lambda: _working(packaging))
        cleanup = asyncio.create_task(node.cleanup())
        await asyncio.sleep(0)
        await _cancel(cleanup, 2)
        result = await build
        assert isinstance(result, ModelContainerPackageOutput)
        assert ErrorCode.DOCKER_UNAVAILABLE == result.error_code
        assert [] == [one.name for one in threading.enumerate() if one.name.startswith("docker-engine")]
        await packaging.works(node)
        await node.cleanup()

    _run(journey())
    assert asyncio.run(eventually_in_thread(lambda: not _working(packaging)))

"""An engine that is absent, goes away, refuses or has no room: the right code, nothing left, and the node goes on."""

import asyncio
import os
import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from support.engine.packaging import Packaging
from support.engine.private import PrivateEngine
from support.engine.proxy import EngineProxy
from support.eventually import eventually_in_thread
from support.process.disks import small_disk
from support.process.nursery import Nursery

UNAVAILABLE, BUILD_FAILED = ErrorCode.DOCKER_UNAVAILABLE, ErrorCode.BUILD_FAILED
# Who is first to say so, the socket or the whole call, is a matter of milliseconds.
SILENT = "silent|within 0.5 s"
LARGE_BYTES = 20_000_000
LARGE = f"FROM BASE\nRUN head -c {LARGE_BYTES} /dev/urandom > /large"


def _where(kind: str, folder: Path, opened: ExitStack) -> str:
    """Make an address at which no engine answers."""
    if kind == "absent":
        return f"unix://{folder}/none.sock"
    if kind in {"refused by a port", "silent on a port"}:
        listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        if kind == "refused by a port":
            opened.close()
        return address
    listener = opened.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(folder / "some.sock"))
    if kind == "silent on a socket":
        listener.listen()
    return f"unix://{folder}/some.sock"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("absent", "No such file or directory"),
        ("refused by a socket", "Connection refused"),
        ("refused by a port", "Connection refused"),
        ("silent on a socket", SILENT),
        ("silent on a port", SILENT),
    ],
)
async def test_an_engine_that_does_not_answer(packaging: Packaging, tmp_path: Path, kind: str, words: str) -> None:
    """DOCKER_UNAVAILABLE within its deadline, naming the address and what to do; making the node touched nothing."""
    with ExitStack() as opened:
        address = _where(kind, tmp_path, opened)
        before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are enough
        async with packaging.node(docker_host=address, connect_timeout_seconds=0.5) as node:
            assert (before, False) == (os.listdir("/proc/self/fd"), packaging.folder.exists())  # noqa: PTH208
            result = await packaging.fails(node, UNAVAILABLE)
    assert result.error_message is not None
    assert (True, True) == (address in result.error_message, bool(re.search(words, result.error_message))), result
    assert "DOCKER_HOST" in str(result.recovery)
    assert not packaging.folder.exists()


def test_making_a_node_asks_the_kernel_for_nothing(nursery: Nursery, tmp_path: Path) -> None:
    """No file is made or opened, no connection, no thread: only what Python itself needs."""
    child = nursery.child("support.process.children:make_node", {"package_dir": str(tmp_path / "store")}).trace()
    child.begin().end()

    assert set() == {call.name for call in child.calls()} - {"brk", "mmap", "munmap"}


async def test_a_frozen_engine_that_comes_back(packaging: Packaging, private: PrivateEngine) -> None:
    """The same node works as soon as the engine does; a busy engine, too, may need longer than the node waits."""
    async with packaging.node(connect_timeout_seconds=0.5) as node:
        await packaging.comes_to_work(node)
        private.freeze()
        await packaging.fails(node, UNAVAILABLE)
        private.thaw()

        await packaging.comes_to_work(node)


async def test_an_engine_that_is_killed_in_a_build(packaging: Packaging, private: PrivateEngine) -> None:
    """DOCKER_UNAVAILABLE and no package; after its restart the same node works."""
    async with packaging.node() as node:
        build = asyncio.create_task(packaging.fails(node, UNAVAILABLE, "FROM BASE\nRUN sleep 300"))
        assert await eventually_in_thread(private.api.containers)
        await asyncio.to_thread(private.kill)
        result = await build
        assert "went away" in str(result.error_message)

        await asyncio.to_thread(private.start)
        await packaging.works(node)


async def test_an_engine_that_is_killed_in_an_export(packaging: Packaging, private: PrivateEngine) -> None:
    """The same, with half a package written."""
    with EngineProxy(private.docker_host) as proxy:
        proxy.hold_after_bytes = LARGE_BYTES // 2
        async with packaging.node(docker_host=proxy.docker_host) as node:
            export = asyncio.create_task(packaging.fails(node, UNAVAILABLE, LARGE))
            assert await eventually_in_thread(proxy.held.is_set)
            assert [] != packaging.staged()
            await asyncio.to_thread(private.kill)
            proxy.release()
            await export

            await asyncio.to_thread(private.start)
            await packaging.works(node)


@pytest.mark.parametrize("share", [0, 0.00001, 0.5, 1])
async def test_an_export_that_is_cut(packaging: Packaging, proxy: EngineProxy, share: float) -> None:
    """DOCKER_UNAVAILABLE and no package: before the answer, in its head, in the middle, just before the end."""
    async with packaging.node(docker_host=proxy.docker_host) as node:
        size = (await packaging.package(node)).package_size_bytes
        assert size is not None
        # The answer is larger than the archive in it: its head and its chunks' lengths come on top.
        proxy.cut_after_bytes = int(size * share)
        result = await packaging.fails(node, UNAVAILABLE)
        assert "could not be exported" in str(result.error_message)

        proxy.cut_after_bytes = None
        await packaging.works(node)


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("FRM scratch", ["unknown instruction"]),
        (
            'FROM BASE\nARG TOKEN\nRUN echo "before $TOKEN"; echo "after $TOKEN" >&2; exit 3',
            ["non-zero code: 3", "before ***", "after ***"],
        ),
        ("FROM 127.0.0.1:1/nothing:1", ["127.0.0.1:1", "Step 2/2"]),
    ],
    ids=["no Dockerfile", "a step that fails", "no base image"],
)
async def test_what_cannot_be_built(packaging: Packaging, dockerfile: str, expected: list[str]) -> None:
    """BUILD_FAILED in the engine's words, with the end of its log; the next build works."""
    async with packaging.node() as node:
        result = await packaging.fails(node, BUILD_FAILED, dockerfile)
        assert expected == [words for words in expected if words in str(result.error_message)], result

        await packaging.works(node)


ROOM_BYTES = 34_000_000
TWO_LAYERS = "FROM BASE" + "\nRUN dd if=/dev/urandom of=/large bs=1000000 count=9" * 2


@pytest.mark.parametrize(
    ("dockerfile", "task"),
    [
        ("FROM BASE\nRUN dd if=/dev/urandom of=/large bs=1000000 count=50", "could not be built"),
        ("FROM BASE\nCOPY large /", "could not be built"),
        (TWO_LAYERS, "could not be exported"),
    ],
    ids=["in a step", "under the context", "in an export"],
)
async def test_an_engine_without_room(packaging: Packaging, tmp_path: Path, dockerfile: str, task: str) -> None:
    """BUILD_FAILED, and the recovery tells whose disk is full; what fits is packaged by the same node."""
    large = packaging.context / "large"
    with small_disk(tmp_path / "engine", ROOM_BYTES) as disk, PrivateEngine(packaging.engine, disk) as engine:
        packaging.engine = engine
        if "COPY large" in dockerfile:
            large.write_bytes(bytes(ROOM_BYTES))
        async with packaging.node() as node:
            result = await packaging.fails(node, BUILD_FAILED, dockerfile)
            assert (True, True) == (task in str(result.error_message), "of the Docker Engine" in str(result.recovery))
            assert "no space left on device" in str(result.error_message).lower()

            large.unlink(missing_ok=True)
            await packaging.works(node)

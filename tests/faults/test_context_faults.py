"""A build context that changes while it is read, or holds what is no file: a clear error or a good build, no hang."""

import asyncio
import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.context import pack_context
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import OperationError
from support.engine.packaging import Packaging
from support.eventually import eventually_in_thread

COPY_ALL = "FROM scratch\nCOPY . /context"
# Packing it takes a while, and `large` comes before `other` in the archive.
LARGE_BYTES = 200_000_000


def _layers_hold(package: Path) -> dict[str, bytes]:
    """Answer the type of each member of a package's layers."""
    found: dict[str, bytes] = {}
    with tarfile.open(package) as image:
        for member in image:
            if member.isfile() and (member.name.endswith("layer.tar") or member.name.startswith("blobs/")):
                content = image.extractfile(member)
                assert content is not None
                try:
                    with tarfile.open(fileobj=io.BytesIO(content.read())) as layer:
                        found |= {one.name: one.type for one in layer}
                except tarfile.TarError:
                    continue  # a blob may be a document
    return found


async def test_what_is_no_file(packaging: Packaging) -> None:
    """A socket stays out, a FIFO goes in as one: neither is read."""
    os.mkfifo(packaging.context / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(packaging.context / "socket"))
        async with packaging.node() as node:
            result = await asyncio.wait_for(packaging.package(node, COPY_ALL), 60)
    packaging.is_whole(result)

    held = _layers_hold(Path(str(result.package_path)))
    assert (tarfile.REGTYPE, tarfile.FIFOTYPE) == (held["context/hello"], held["context/fifo"])
    assert "context/socket" not in held


async def _when_read(path: Path) -> None:
    """Wait until this process has a file open."""

    def is_open() -> bool:
        return any(one.resolve() == path for one in Path("/proc/self/fd").iterdir())

    assert await eventually_in_thread(is_open)


async def _while_packing(packaging: Packaging, change: Callable[[], object]) -> str:
    """Change something while `large` is read; answer the error's message, and see that the node goes on."""
    large = packaging.context / "large"
    with large.open("wb") as file:
        file.truncate(LARGE_BYTES)
    async with packaging.node() as node:
        failed = asyncio.create_task(packaging.fails(node, ErrorCode.BUILD_FAILED, COPY_ALL))
        await _when_read(large)
        change()
        result = await failed
        large.unlink()
        await packaging.works(node)
    assert "while it was packed" in str(result.recovery)
    return str(result.error_message)


async def test_a_file_that_vanishes(packaging: Packaging) -> None:
    """After the context was listed, before it was read."""
    other = packaging.context / "other"
    other.write_text("x")
    message = await _while_packing(packaging, other.unlink)

    assert (True, True) == (str(packaging.context / "other") in message, "No such file" in message), message


async def test_a_file_that_shrinks(packaging: Packaging) -> None:
    """While it is read."""
    large = packaging.context / "large"
    message = await _while_packing(packaging, lambda: os.truncate(large, 1))

    assert (True, True) == (str(large) in message, "unexpected end of data" in message), message


def _swapped(folder: Path, outside: Path, stop: threading.Event) -> None:
    """Put a link to the outside in a folder's place, and the folder back, again and again."""
    aside = folder.with_name("aside")
    while not stop.is_set():
        folder.rename(aside)
        folder.symlink_to(outside)
        folder.unlink()
        aside.rename(folder)


def test_a_folder_that_is_swapped_with_a_link_out_of_the_context(tmp_path: Path) -> None:
    """Whenever it happens, nothing from outside is packed: the build fails, or gets what is inside."""
    context, outside, stop = tmp_path / "context", tmp_path / "outside", threading.Event()
    for folder, text in ((context / "inner" / "deep", b"inside"), (outside / "deep", b"OUTSIDE")):
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / str(number)).write_bytes(text)
    (context / "Dockerfile").write_text("FROM scratch\n")
    swapper = threading.Thread(target=_swapped, args=(context / "inner", outside, stop))
    swapper.start()
    packed = []
    try:
        for _ in range(300):
            file = io.BytesIO()
            with suppress(OperationError):
                pack_context(Call(), context, "Dockerfile", file)
            packed.append(b"OUTSIDE" in file.getvalue())
    finally:
        stop.set()
        swapper.join()

    assert [False] * 300 == packed


async def test_files_that_are_written_all_the_time(packaging: Packaging) -> None:
    """One that grows goes in as long as it was when it was looked at; one that is replaced goes in as any of them."""
    log, document, stop = packaging.context / "log", packaging.context / "document", threading.Event()
    document.write_bytes(b"0" * 10_000)

    def write() -> None:
        with log.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"another line\n")
                (packaging.folder.parent / "next").write_bytes(os.urandom(1) * 10_000)
                (packaging.folder.parent / "next").replace(document)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        async with packaging.node() as node:
            for _ in range(5):
                await packaging.works(node, COPY_ALL)
    finally:
        stop.set()
        writer.join()

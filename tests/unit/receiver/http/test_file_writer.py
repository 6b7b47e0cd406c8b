"""An arriving file, hashed and written to the disk."""

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from blake3 import blake3

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import ThreadPool
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import StorageFullError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.file_writer import HashingFileWriter
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import PIECE_BYTES
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.files import disk_errors


class FullFile(io.BytesIO):
    """A file on a full disk."""

    def write(self, data: object) -> int:
        """Fail as a full disk does."""
        with disk_errors("write", Path("/")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    """An empty file."""
    with (tmp_path / "file").open("wb", buffering=0) as made:
        yield made


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 7])
async def test_what_is_written_is_on_the_disk_and_hashed(file: BinaryIO, workers: ThreadPool, size: int) -> None:
    """Whatever its size, and however it is split."""
    data, checked = os.urandom(size), list[int]()
    writer = HashingFileWriter(file, workers, checked.append)
    for start in range(0, size, 300_000):
        await writer.write(memoryview(data)[start : start + 300_000])
    assert await writer.finish() == blake3(data).hexdigest()
    assert writer.size_bytes == size == max([0, *checked])
    assert Path(file.name).read_bytes() == data


async def test_a_full_disk_is_reported(workers: ThreadPool) -> None:
    """By the call after the one that filled a piece."""
    writer = HashingFileWriter(FullFile(), workers, lambda _: None)
    await writer.write(memoryview(bytes(PIECE_BYTES)))
    with pytest.raises(StorageFullError, match="is full"):
        await writer.write(memoryview(bytes(PIECE_BYTES)))


async def test_waiting_for_the_thread_raises_nothing(workers: ThreadPool) -> None:
    """The reason to stop was reported before."""
    writer = HashingFileWriter(FullFile(), workers, lambda _: None)
    await writer.write(memoryview(bytes(PIECE_BYTES)))
    await writer.wait_idle()

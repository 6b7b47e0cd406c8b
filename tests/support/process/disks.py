"""Disks that are too small: real ones, in memory."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["small_disk"]


@contextmanager
def small_disk(folder: Path, size_bytes: int, files: int = 0) -> Iterator[Path]:
    """Mount a new file system (tmpfs(5)) on a folder, made if need be; skips the test where only root may.

    Args:
        folder: Where.
        size_bytes: Its capacity, in whole pages.
        files: The limit on files and folders, itself included; 0 for any number.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes},nr_inodes={files}", "small", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

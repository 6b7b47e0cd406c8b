"""Opens files of a folder, one part of the path after the other: no link leads out, even if the folder changes."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_file", "open_folder", "open_subfolder"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """Open a folder; its files and folders are opened relative to the descriptor.

    Args:
        path: Resolved by the caller; a link as its last part is refused.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_subfolder(folder: int, path: str) -> Iterator[int]:
    """Open a folder below another one, without following a link in any part of its path.

    Args:
        folder: The descriptor of the upper one.
        path: Relative to it, without `..`; empty for the folder itself.

    Raises:
        OSError: A part of the path is not a folder, or is a link.
    """
    descriptor = os.dup(folder)
    try:
        for name in filter(None, path.split("/")):
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(folder: int, path: str) -> BinaryIO:
    """Open a regular file below a folder, without following a link in any part of its path.

    Args:
        folder: The folder's descriptor.
        path: Relative to it, without `..`.

    Raises:
        OSError: It does not exist, a part of the path is a link, or it is not a regular file.
    """
    above, _, name = path.rpartition("/")
    with open_subfolder(folder, above) as parent:
        file = os.fdopen(os.open(name, _FILE, dir_fd=parent), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is not a regular file")
    return file

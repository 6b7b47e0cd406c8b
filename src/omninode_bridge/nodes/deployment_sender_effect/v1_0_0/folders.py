"""Folders and names that last: made for this user only, durable, and locked while they change."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["A_FOLDER", "grant", "locked", "make_folder", "make_private", "sync_folder", "sync_upwards"]

A_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""For os.open."""

_FOLDER_MODE = 0o700  # an image may hold secrets


@contextlib.contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a folder's flock(2); `how` is as for it."""
    descriptor = os.open(folder, A_FOLDER | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, A_FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durably, and for this user only; one that is not durable does not stay."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        make_private(folder)
    try:
        sync_folder(folder.parent)
    except OSError:
        with contextlib.suppress(OSError):  # another process keeps something in it by now
            folder.rmdir()
        raise


def make_private(folder: Path) -> None:
    """Make a folder for this user only, whatever the umask."""
    folder.mkdir(_FOLDER_MODE)
    try:
        grant(folder, _FOLDER_MODE)
    except OSError:
        folder.rmdir()
        raise


def grant(what: Path | int, mode: int) -> None:
    """Give this user what a umask took away; a file system that knows no modes is not asked to set one."""
    if os.stat(what).st_mode & mode != mode:  # noqa: PTH116 - it may be a descriptor
        os.chmod(what, mode)  # noqa: PTH101 - likewise


def sync_upwards(folder: Path) -> None:
    """Make the names of the folders that are there durable: who made one may have been killed before that."""
    for path in (folder, *folder.parents):
        if os.path.ismount(path):
            return
        try:
            sync_folder(path.parent)
        except FileNotFoundError:
            continue
        except PermissionError:
            return  # not made by this user

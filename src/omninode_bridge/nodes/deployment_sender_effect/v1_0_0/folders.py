"""Folders that are durable, accessible to this user only, and locked while they change."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FOLDER_FLAGS", "grant", "locked", "make_folder", "make_private", "sync_folder", "sync_upwards"]

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""Flags of `os.open` for a folder."""

_FOLDER_MODE = 0o700  # an image may hold secrets


@contextlib.contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the lock of a folder, with the operation `how` of flock(2)."""
    descriptor = os.open(folder, FOLDER_FLAGS | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names of a folder's entries durable."""
    descriptor = os.open(folder, FOLDER_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durable and for this user only; one that cannot be made durable is removed."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        make_private(folder)
    try:
        sync_folder(folder.parent)
    except OSError:
        with contextlib.suppress(OSError):  # another process may have put something into it
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
    """Give this user the permissions that the umask removed; a mode that is sufficient is not set again.

    Args:
        what: A path, or an open descriptor.
        mode: The permissions, as for chmod(2). Not set without need: some file systems have no modes.
    """
    if isinstance(what, Path):
        if what.stat().st_mode & mode != mode:
            what.chmod(mode)
    elif os.fstat(what).st_mode & mode != mode:
        os.fchmod(what, mode)


def sync_upwards(folder: Path) -> None:
    """Make the names of existing folders durable: the process that made one may have been killed before it did so."""
    for path in (folder, *folder.parents):
        if os.path.ismount(path):
            return
        try:
            sync_folder(path.parent)
        except FileNotFoundError:
            continue
        except PermissionError:
            return  # another user made it

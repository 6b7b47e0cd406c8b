"""Small files that are replaced whole, for this user only."""

import os
from pathlib import Path

from .files import disk_errors
from .staging import sync_folder

__all__ = ["FILE_MODE", "private_file", "write_document"]

FILE_MODE = 0o600


def private_file(path: Path, flags: int = 0) -> int:
    """Open a file for this user only, whatever the umask and whoever made it; answer its descriptor.

    Args:
        path: Its name; a link there is not followed.
        flags: As for open(2), beside reading and writing.

    Raises:
        OSError: The disk refuses.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def write_document(path: Path, content: bytes) -> None:
    """Write a document durably: afterwards it is the new one, or the old one is as it was.

    Args:
        path: Its name, in a folder that is there.
        content: All of it.

    Raises:
        DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
    """
    draft = path.with_suffix(".new")
    with disk_errors("write", path):
        with open(private_file(draft, os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)

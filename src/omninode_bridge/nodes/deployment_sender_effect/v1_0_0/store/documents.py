"""Small files that are always replaced as a whole, readable by this user only."""

import os
from pathlib import Path

from .files import disk_errors
from .staging import sync_folder

__all__ = ["FILE_MODE", "private_file", "write_document"]

FILE_MODE = 0o600


def private_file(path: Path, flags: int = 0) -> int:
    """Open a file for this user only, whatever the umask and its present mode; return its descriptor.

    Args:
        path: Of the file; a link is not followed.
        flags: As for open(2), added to those for reading and writing.

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
    """Write a document durably: afterwards the file has the new content, or on a failure still the old one.

    Args:
        path: Of the file, in a folder that exists.
        content: The whole content.

    Raises:
        StorageError: The disk refuses.
    """
    draft = path.with_suffix(".new")
    with disk_errors("write", path):
        with open(private_file(draft, os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)

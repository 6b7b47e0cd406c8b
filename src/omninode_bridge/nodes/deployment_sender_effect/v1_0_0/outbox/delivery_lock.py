"""The lock file beside the outbox: the process that holds it delivers."""

import fcntl
import os
from pathlib import Path

from ..folders import grant, make_folder
from .schema import FILE_MODE

__all__ = ["DeliveryLock"]


class DeliveryLock:
    """A `flock` on a file.

    The kernel releases it when the process dies; a lease in the database would last until it expires.

    Args:
        path: The lock file; made when the lock is first acquired.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether this object has it now.

        Raises:
            OSError: The file cannot be opened.
        """
        if self._descriptor is None:
            make_folder(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                grant(descriptor, FILE_MODE)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except BaseException:
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Release the lock, if this object has it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

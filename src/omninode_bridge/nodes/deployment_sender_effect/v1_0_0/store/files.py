"""Turns an `OSError` into a `StorageError` that names the disk, what is wrong with it and what to do."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import StorageBusyError, StorageError, StorageFullError

__all__ = ["disk_errors"]


@dataclass(frozen=True, slots=True)
class _Explanation:
    """Meaning and remedy of an errno(3); `{disk}` is where the disk is mounted, `{user}` the number of this user.

    Attributes:
        type: The error to raise.
        reason: What is wrong; None for the operating system's own words.
        recovery: What to do.
    """

    type: type[StorageError]
    reason: str | None
    recovery: str


_NO_PERMISSION = _Explanation(
    StorageError,
    "user {user} has no permission",
    "Give user {user} access to the folder, or choose another one, then call again.",
)
_BUSY = _Explanation(StorageBusyError, None, "Wait a moment, then call again.")
_TOO_MANY_FILES = _Explanation(StorageBusyError, None, "Wait a moment or raise `ulimit -n`, then call again.")
_UNKNOWN = _Explanation(StorageError, None, "Check the disk mounted at {disk}, then call again.")
_EXPLANATIONS = {
    errno.ENOSPC: _Explanation(
        StorageFullError, "the disk mounted at {disk} is full", "Free space on {disk}, then call again."
    ),
    errno.EDQUOT: _Explanation(
        StorageFullError,
        "the quota on the disk mounted at {disk} is used up",
        "Free space on {disk} or raise the quota, then call again.",
    ),
    errno.EFBIG: _Explanation(
        StorageFullError,
        "the file would exceed a file-size limit",
        "Raise `ulimit -f`, or use another file system than that of {disk}, then call again.",
    ),
    errno.EAGAIN: _BUSY,
    errno.EBUSY: _BUSY,
    errno.EINTR: _BUSY,
    errno.ETIMEDOUT: _BUSY,
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: _TOO_MANY_FILES,
    errno.ENOMEM: _Explanation(StorageBusyError, None, "Free memory on this machine, then call again."),
    errno.EROFS: _Explanation(
        StorageError,
        "the disk mounted at {disk} is read-only",
        "Mount {disk} writable, or choose a folder on another disk, then call again.",
    ),
    errno.EIO: _Explanation(
        StorageError,
        "the disk mounted at {disk} reports an error",
        "Check the disk mounted at {disk} (`dmesg`), then call again.",
    ),
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EEXIST: _Explanation(
        StorageError, "it exists already", "Wait until its writer has finished, or remove it, then call again."
    ),
    errno.ENOTEMPTY: _Explanation(StorageError, "it exists already", "Remove the existing one, then call again."),
}


@contextmanager
def disk_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into a `StorageError`, with the `OSError` as its cause.

    Args:
        action: What the body does, as a verb such as `write`.
        path: The file or folder that it uses; it need not exist.

    Raises:
        StorageFullError: The disk, a quota or a file-size limit has no space left.
        StorageBusyError: A lock is held, or too many files are open; the same call may succeed in a moment.
        StorageError: Any other `OSError`.
    """
    try:
        yield
    except OSError as exc:
        explanation = _EXPLANATIONS.get(exc.errno or 0, _UNKNOWN)
        names = {"disk": _mount_point(path), "user": os.geteuid()}
        reason = f"{explanation.reason.format(**names)} ({exc.strerror})" if explanation.reason else str(exc)
        raise explanation.type(
            f"cannot {action} {path}: {reason}", recovery=explanation.recovery.format(**names)
        ) from exc


def _mount_point(path: Path) -> Path:
    path = path.absolute()
    while not os.path.ismount(path):
        path = path.parent
    return path

"""What a disk refuses, told as one of our errors: which disk it is and what is wrong with it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError

__all__ = ["disk_errors", "is_disk_full", "may_pass"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PASSING = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT}

# What happened and what to do, by errno(3); `{disk}` is where the disk is mounted.
_EXPLAINED = {
    errno.ENOSPC: ("the disk mounted at {disk} is full", "Make room on {disk}, then call again."),
    errno.EDQUOT: (
        "the quota on the disk mounted at {disk} is used up",
        "Make room on {disk} or raise the quota, then call again.",
    ),
    errno.EFBIG: (
        "the file would grow over a file-size limit",
        "Raise `ulimit -f`, or use another file system than that of {disk}, then call again.",
    ),
    errno.EROFS: (
        "the disk mounted at {disk} is read-only",
        "Mount {disk} writable, or choose a folder on another disk, then call again.",
    ),
    errno.EIO: ("the disk mounted at {disk} reports an error", "Check that disk (`dmesg`), then call again."),
    errno.EACCES: ("user {user} may not", "Give user {user} the folder, or choose another one, then call again."),
    errno.EPERM: ("user {user} may not", "Give user {user} the folder, or choose another one, then call again."),
    errno.EEXIST: ("there is one already", "Let the other one finish, or remove it, then call again."),
    errno.ENOTEMPTY: ("there is one already", "Remove the other one, then call again."),
}


@contextmanager
def disk_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into `BUILD_FAILED`, with the `OSError` as its cause.

    Args:
        action: What was being done, such as `write`.
        path: The file or folder that it was done to; it need not exist.

    Raises:
        DeploymentSenderError: `BUILD_FAILED`, telling the disk and what to do.
    """
    try:
        yield
    except OSError as exc:
        what, recovery = _EXPLAINED.get(exc.errno or 0, ("", None))
        names = {"disk": _mount_point(path), "user": os.geteuid()}
        reason = f"{what.format(**names)} ({exc.strerror})" if what else str(exc)
        raise StorageError(
            f"cannot {action} {path}: {reason}",
            recovery=recovery.format(**names) if recovery else None,
        ) from exc


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error of `disk_errors` is for want of space: a full disk, a quota or a file-size limit."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL


def may_pass(error: BaseException) -> bool:
    """Tell whether an error of `disk_errors` may be gone in a moment: a lock, or too many open files."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING


def _mount_point(path: Path) -> Path:
    path = path.absolute()
    while not os.path.ismount(path):
        path = path.parent
    return path

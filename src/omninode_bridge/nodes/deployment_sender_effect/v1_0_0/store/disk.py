"""What a disk refuses, told as one of our errors: which disk it is and what is wrong with it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode

__all__ = ["disk_errors", "is_disk_full"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into `BUILD_FAILED`, with the `OSError` as its cause.

    Args:
        action: What was being done, such as `write the package`.
        path: The file or folder that it was done to; it need not exist.

    Raises:
        DeploymentSenderError: `BUILD_FAILED`, telling the disk and what to do.
    """
    try:
        yield
    except OSError as exc:
        what, recovery = _explained(exc, _mount_point(path))
        raise DeploymentSenderError(
            ErrorCode.BUILD_FAILED, f"cannot {action} {path}: {what}", recovery=recovery
        ) from exc


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error of `disk_errors` is for want of space: a full disk, a quota or a file-size limit."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL


def _mount_point(path: Path) -> Path:
    path = path.absolute()
    while not os.path.ismount(path):
        path = path.parent
    return path


def _explained(exc: OSError, disk: Path) -> tuple[str, str | None]:
    reason = exc.strerror or str(exc)
    match exc.errno:
        case errno.ENOSPC:
            return f"the disk mounted at {disk} is full ({reason})", f"Make room on {disk}, then call again."
        case errno.EDQUOT:
            return (
                f"the quota on the disk mounted at {disk} is used up ({reason})",
                f"Make room on {disk} or raise the quota, then call again.",
            )
        case errno.EFBIG:
            return (
                f"the file would grow over a file-size limit ({reason})",
                f"Raise `ulimit -f`, or use another file system than that of {disk}, then call again.",
            )
        case errno.EROFS:
            return (
                f"the disk mounted at {disk} is read-only ({reason})",
                f"Mount {disk} writable, or set PACKAGE_DIR to another disk, then call again.",
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"user {os.geteuid()} may not ({reason})",
                "Give this user the folder, or set PACKAGE_DIR to another one, then call again.",
            )
        case errno.EIO:
            return (
                f"the disk mounted at {disk} reports an error ({reason})",
                f"Check the disk of {disk} (`dmesg`), then call again.",
            )
        case _:
            return reason, None

"""An `OSError` becomes an error that says what is wrong with which disk, and what to do."""

import errno
import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    OperationError,
    StorageBusyError,
    StorageError,
    StorageFullError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.files import disk_errors


def _error(number: int, path: Path = Path("/proc/none/file")) -> OperationError:
    with pytest.raises(OperationError) as caught, disk_errors("write", path):
        raise OSError(number, os.strerror(number))
    return caught.value


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "cannot write /proc/none/file: the disk mounted at /proc is full (No space left on device)"),
        (errno.EDQUOT, "the quota on the disk mounted at /proc is used up"),
        (errno.EFBIG, "the file would exceed a file-size limit"),
        (errno.EROFS, "the disk mounted at /proc is read-only"),
        (errno.EIO, "the disk mounted at /proc reports an error"),
        (errno.EACCES, f"user {os.geteuid()} has no permission (Permission denied)"),
        (errno.ENOTEMPTY, "it exists already"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_the_message_names_the_problem_and_the_disk(number: int, message: str) -> None:
    """The message says what happened and on which disk."""
    assert message in _error(number).message


@pytest.mark.parametrize(
    ("number", "recovery"),
    [
        (errno.ENOSPC, "Free space on /proc, then call again."),
        (errno.EMFILE, "Wait a moment or raise `ulimit -n`, then call again."),
        (errno.ENXIO, "Check the disk mounted at /proc, then call again."),
    ],
)
def test_the_recovery_names_the_next_step(number: int, recovery: str) -> None:
    """Each error says what to do, also one without an explanation of its own."""
    assert recovery == _error(number).recovery


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EFBIG, StorageFullError),
        (errno.EAGAIN, StorageBusyError),
        (errno.EBUSY, StorageBusyError),
        (errno.EMFILE, StorageBusyError),
        (errno.ENOMEM, StorageBusyError),
        (errno.EIO, StorageError),
        (errno.EACCES, StorageError),
        (errno.ENXIO, StorageError),
    ],
)
def test_the_type_says_whether_the_disk_is_full_or_busy(number: int, expected: type[StorageError]) -> None:
    """The three types differ in what the caller can do about them."""
    assert expected is type(_error(number))


def test_the_cause_is_the_error_of_the_system() -> None:
    """A traceback shows both."""
    assert isinstance(_error(errno.EIO).__cause__, OSError)


def test_other_errors_pass_through() -> None:
    """Only an `OSError` is converted."""
    with pytest.raises(KeyError), disk_errors("write", Path("/x")):
        raise KeyError

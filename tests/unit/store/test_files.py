"""What a disk refuses is told so that a person can mend it."""

import errno
import os
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ERRORS, DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.files import disk_errors, is_disk_full, may_pass


def _told(number: int, path: Path = Path("/proc/none/file")) -> DeploymentSenderError:
    with pytest.raises(DeploymentSenderError) as caught, disk_errors("write", path):
        raise OSError(number, os.strerror(number))
    return caught.value


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "cannot write /proc/none/file: the disk mounted at /proc is full (No space left on device)"),
        (errno.EDQUOT, "the quota on the disk mounted at /proc is used up"),
        (errno.EFBIG, "the file would grow over a file-size limit"),
        (errno.EROFS, "the disk mounted at /proc is read-only"),
        (errno.EIO, "the disk mounted at /proc reports an error"),
        (errno.EACCES, f"user {os.geteuid()} may not (Permission denied)"),
        (errno.ENOTEMPTY, "there is one already"),
        (errno.EMFILE, "Too many open files"),
    ],
)
def test_messages(number: int, message: str) -> None:
    """The message tells what happened and on which disk."""
    assert message in _told(number).message


def test_recovery_names_the_disk() -> None:
    """The recovery tells what to do about that disk."""
    assert _told(errno.ENOSPC).recovery == "Make room on /proc, then call again."


def test_recovery_of_the_table() -> None:
    """Where nothing better is known the table's recovery stands."""
    assert ERRORS[ErrorCode.BUILD_FAILED].recovery == _told(errno.EMFILE).recovery


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EFBIG, True), (errno.EIO, False), (errno.EACCES, False)],
)
def test_disk_full(number: int, expected: bool) -> None:
    """An error for want of space can be told from the others."""
    assert expected == is_disk_full(_told(number))


@pytest.mark.parametrize(("number", "expected"), [(errno.EBUSY, True), (errno.EMFILE, True), (errno.ENOSPC, False)])
def test_what_may_pass(number: int, expected: bool) -> None:
    """A lock or too many open files may be gone in a moment; a full disk waits for somebody."""
    assert expected == may_pass(_told(number))


def test_other_errors_are_no_full_disk() -> None:
    """An error of another source is not for want of space."""
    assert not is_disk_full(DeploymentSenderError(ErrorCode.BUILD_FAILED, "x"))


def test_others_pass_through() -> None:
    """What is no `OSError` is left as it is."""
    with pytest.raises(KeyError), disk_errors("write", Path("/x")):
        raise KeyError

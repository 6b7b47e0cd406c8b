"""The lock of the process that delivers."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.delivery_lock import DeliveryLock

_HOLD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.outbox.delivery_lock import DeliveryLock
assert DeliveryLock(Path(sys.argv[1])).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the lock file; its folder does not exist yet."""
    return tmp_path / "store" / "outbox.lock"


def test_it_is_made_when_it_is_first_acquired(path: Path) -> None:
    """Not before."""
    lock = DeliveryLock(path)
    assert (False, False) == (lock.held, path.parent.exists())

    assert lock.acquire()

    assert (True, True) == (lock.held, path.exists())
    lock.release()


def test_one_at_a_time_has_it(path: Path) -> None:
    """The other has it after a release."""
    first, second = DeliveryLock(path), DeliveryLock(path)

    assert [True, True, False] == [first.acquire(), first.acquire(), second.acquire()]
    first.release()
    assert [False, True] == [first.held, second.acquire()]
    second.release()


def test_releasing_a_lock_that_is_not_held_changes_nothing(path: Path) -> None:
    """Also twice."""
    first, second = DeliveryLock(path), DeliveryLock(path)
    first.acquire()
    second.release()

    assert not second.acquire()
    first.release()
    first.release()


def test_a_process_that_dies_releases_it(path: Path) -> None:
    """The kernel does that."""
    done = subprocess.run([sys.executable, "-c", _HOLD_AND_DIE, str(path)], check=False)

    assert -9 == done.returncode
    lock = DeliveryLock(path)
    assert lock.acquire()
    lock.release()


def test_a_lock_that_fails_leaves_no_descriptor_open(path: Path) -> None:
    """`/dev/fd` lists the open ones."""
    path.parent.mkdir()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    before = len(list(Path("/dev/fd").iterdir()))

    assert not DeliveryLock(path).acquire()

    assert before == len(list(Path("/dev/fd").iterdir()))
    os.close(descriptor)

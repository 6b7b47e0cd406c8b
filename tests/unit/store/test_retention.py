"""Which packages are still whole, and which may go."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import hash_file
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.retention import Checked, Retention, check, prune
from support.archives.stored import keep_package

NOW = datetime(2025, 11, 24, tzinfo=UTC)
UNKNOWN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

Keep = Callable[[int], str]


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    """Name a store."""
    return PackageStore(tmp_path)


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Keep a package of 10 bytes that is so many days old; answer its id."""
    return lambda days: keep_package(tmp_path, b"0123456789", created_at=NOW - timedelta(days=days))[0].package_id


def _pruned(store: PackageStore, *, dry_run: bool = False, **limits: int) -> tuple[list[str], list[str]]:
    """Prune; answer what went and what is in use."""
    days = limits.pop("days", None)
    retention = Retention(older_than=None if days is None else timedelta(days=days), **limits)
    pruned = prune(store, retention, now=NOW, dry_run=dry_run)
    assert pruned.removed_bytes == 10 * len(pruned.removed)
    return [one.package_id for one in pruned.removed], [one.package_id for one in pruned.in_use]


def test_a_whole_package_checks(store: PackageStore, keep: Keep) -> None:
    """Its size is told."""
    package_id = keep(1)

    assert Checked(package_id, size_bytes=10) == check(store, package_id, hash_file)


def test_a_changed_bit_is_found(store: PackageStore, keep: Keep) -> None:
    """The message names the package and both checksums."""
    package_id = keep(1)
    store.path_of(package_id).write_bytes(b"1123456789")

    checked = check(store, package_id, hash_file)

    assert checked is not None
    assert checked.error is not None
    assert (ErrorCode.CHECKSUM_MISMATCH, 10) == (checked.error.code, checked.size_bytes)
    assert package_id in checked.error.message


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
def test_what_cannot_be_opened_is_damaged(store: PackageStore, keep: Keep, damage: Callable[[Path], object]) -> None:
    """A file that is gone or has another size need not be read."""
    package_id = keep(1)
    damage(store.path_of(package_id))

    checked = check(store, package_id, hash_file)

    assert checked is not None
    assert checked.error is not None
    assert ErrorCode.CHECKSUM_MISMATCH is checked.error.code


def test_a_disk_that_cannot_read_is_told(store: PackageStore, keep: Keep) -> None:
    """With the disk's own word."""

    def broken(_: BinaryIO) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    checked = check(store, keep(1), broken)

    assert checked is not None
    assert checked.error is not None
    assert "reports an error" in checked.error.message


def test_a_package_that_was_removed_meanwhile_is_not_damaged(store: PackageStore) -> None:
    """It is nothing at all."""
    assert check(store, UNKNOWN_ID, hash_file) is None


def test_by_age(store: PackageStore, keep: Keep) -> None:
    """What is older goes, the oldest first; what is exactly as old stays."""
    ids = {days: keep(days) for days in (0, 30, 31, 90)}

    assert ([ids[90], ids[31]], []) == _pruned(store, days=30)
    assert [ids[0], ids[30]] == [manifest.package_id for manifest in store.list()]


@pytest.mark.parametrize(("max_bytes", "left"), [(40, 4), (39, 3), (30, 3), (5, 0), (0, 0)])
def test_by_size(store: PackageStore, keep: Keep, max_bytes: int, left: int) -> None:
    """The oldest go until the rest fits."""
    ids = [keep(days) for days in range(4)]
    _pruned(store, max_bytes=max_bytes)

    assert ids[:left] == [manifest.package_id for manifest in store.list()]


def test_by_number(store: PackageStore, keep: Keep) -> None:
    """Given alone, all but the newest go."""
    ids = [keep(days) for days in range(4)]

    assert ([ids[3], ids[2]], []) == _pruned(store, keep=2)
    assert ([ids[1], ids[0]], []) == _pruned(store, keep=0)


def test_the_newest_stay_whatever_the_others_say(store: PackageStore, keep: Keep) -> None:
    """A service that has not been built for a year keeps its last packages."""
    ids = [keep(days) for days in (300, 400, 500)]

    assert ([ids[2]], []) == _pruned(store, days=30, max_bytes=0, keep=2)


def test_by_age_or_by_size(store: PackageStore, keep: Keep) -> None:
    """Each of the two is reason enough."""
    ids = [keep(days) for days in (1, 2, 3, 50)]

    assert ([ids[3], ids[2]], []) == _pruned(store, days=30, max_bytes=20)


def test_nothing_asked(store: PackageStore) -> None:
    """Without a limit, nothing is meant."""
    with pytest.raises(DeploymentSenderError) as caught:
        Retention()

    assert ErrorCode.VALIDATION_ERROR is caught.value.code


def test_a_dry_run_removes_nothing(store: PackageStore, keep: Keep) -> None:
    """And tells the same."""
    ids = [keep(days) for days in range(3)]
    with store.open(ids[2]):
        assert ([ids[1]], [ids[2]]) == _pruned(store, keep=1, dry_run=True)

    assert ids == [manifest.package_id for manifest in store.list()]


def test_what_is_open_stays(store: PackageStore, keep: Keep) -> None:
    """Until it is closed; the next oldest go instead, where it is about the size."""
    ids = [keep(days) for days in range(4)]
    with ExitStack() as held:
        for package_id in ids[2:]:
            held.enter_context(store.open(package_id))

        assert ([ids[1]], [ids[3], ids[2]]) == _pruned(store, max_bytes=30)
    assert ([ids[3]], []) == _pruned(store, max_bytes=20)


_READER = """
import sys, pathlib
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore
package = PackageStore(pathlib.Path(sys.argv[1])).open(sys.argv[2])
print("open", flush=True)
sys.stdin.read()
"""


def test_another_process_keeps_what_it_has_open(store: PackageStore, keep: Keep, tmp_path: Path) -> None:
    """As long as it lives, and no longer."""
    package_id = keep(9)
    command = [sys.executable, "-c", _READER, str(tmp_path), package_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == b"open\n"
        assert ([], [package_id]) == _pruned(store, keep=0)
        reader.kill()
        reader.wait()

        assert ([package_id], []) == _pruned(store, keep=0)


def test_a_package_without_its_file_may_go(store: PackageStore, keep: Keep) -> None:
    """Nobody can open it."""
    package_id = keep(9)
    store.path_of(package_id).unlink()

    assert ([package_id], []) == _pruned(store, keep=0)
    assert not store.ids()


def test_a_damaged_manifest_tells_no_age(store: PackageStore, keep: Keep) -> None:
    """What cannot be judged stays, for `packages check` to find."""
    package_id = keep(9)
    (store.path_of(package_id).parent / "manifest.json").write_bytes(b"{}")

    assert ([], []) == _pruned(store, keep=0)
    assert [package_id] == store.ids()


class _RemovedBySomebody(PackageStore):
    """A store whose packages are gone when they are to be removed."""

    def remove(self, package_id: str) -> None:
        super().remove(package_id)
        super().remove(package_id)


def test_two_who_prune_do_not_quarrel(tmp_path: Path, keep: Keep) -> None:
    """What the other one has removed is removed."""
    package_id = keep(9)

    assert ([package_id], []) == _pruned(_RemovedBySomebody(tmp_path), keep=0)


class _Broken(PackageStore):
    """A store on a disk that refuses to remove."""

    def remove(self, package_id: str) -> None:
        raise DeploymentSenderError(ErrorCode.BUILD_FAILED, "read-only")


def test_a_disk_that_refuses(tmp_path: Path, keep: Keep) -> None:
    """Is told, and not taken for done."""
    keep(9)

    with pytest.raises(DeploymentSenderError, match="read-only"):
        _pruned(_Broken(tmp_path), keep=0)

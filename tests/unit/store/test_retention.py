"""Verifies stored packages and removes old ones."""

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

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    InvalidInputError,
    PackageDamagedError,
    PackageTooNewError,
    StorageError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.checksum import hash_file
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.packages import PackageStore
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.store.retention import Checked, Retention, check, prune
from support.archives.stored import keep_package

NOW = datetime(2025, 11, 24, tzinfo=UTC)
UNKNOWN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"

Keep = Callable[[int], str]


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    """Return a store."""
    return PackageStore(tmp_path)


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Keep a package of 10 bytes that is this many days old; return its id."""
    return lambda days: keep_package(tmp_path, b"0123456789", created_at=NOW - timedelta(days=days))[0].package_id


def _pruned(store: PackageStore, *, dry_run: bool = False, **limits: int) -> tuple[list[str], list[str]]:
    """Prune; return the ids of the removed packages and of those in use."""
    days = limits.pop("days", None)
    retention = Retention(older_than=None if days is None else timedelta(days=days), **limits)
    pruned = prune(store, retention, now=NOW, dry_run=dry_run)
    assert 10 * len(pruned.removed) == pruned.removed_bytes
    return [one.package_id for one in pruned.removed], [one.package_id for one in pruned.in_use]


def test_a_whole_package_checks(store: PackageStore, keep: Keep) -> None:
    """The result has its size and no error."""
    package_id = keep(1)

    assert Checked(package_id, size_bytes=10) == check(store, package_id, hash_file)


def test_a_changed_bit_is_found(store: PackageStore, keep: Keep) -> None:
    """The message names the package and both checksums."""
    package_id = keep(1)
    store.path_of(package_id).write_bytes(b"1123456789")

    checked = check(store, package_id, hash_file)

    assert checked is not None
    assert checked.error is not None
    assert (PackageDamagedError, 10) == (type(checked.error), checked.size_bytes)
    assert package_id in checked.error.message


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x")])
def test_what_cannot_be_opened_is_damaged(store: PackageStore, keep: Keep, damage: Callable[[Path], object]) -> None:
    """A file that is missing or has another size need not be read."""
    package_id = keep(1)
    damage(store.path_of(package_id))

    checked = check(store, package_id, hash_file)

    assert checked is not None
    assert checked.error is not None
    assert PackageDamagedError is type(checked.error)


def test_a_disk_that_cannot_read_is_reported(store: PackageStore, keep: Keep) -> None:
    """The error says what is wrong with the disk."""

    def broken(_: BinaryIO) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    checked = check(store, keep(1), broken)

    assert checked is not None
    assert checked.error is not None
    assert "reports an error" in checked.error.message


def test_a_package_that_was_removed_meanwhile_is_not_damaged(store: PackageStore) -> None:
    """There is no result for it."""
    assert check(store, UNKNOWN_ID, hash_file) is None


def test_by_age(store: PackageStore, keep: Keep) -> None:
    """Older packages are removed, the oldest first; one of exactly that age stays."""
    ids = {days: keep(days) for days in (0, 30, 31, 90)}

    assert ([ids[90], ids[31]], []) == _pruned(store, days=30)
    assert [ids[0], ids[30]] == [manifest.package_id for manifest in store.list()]


@pytest.mark.parametrize(("max_bytes", "left"), [(40, 4), (39, 3), (30, 3), (5, 0), (0, 0)])
def test_by_size(store: PackageStore, keep: Keep, max_bytes: int, left: int) -> None:
    """The oldest are removed until the rest fits."""
    ids = [keep(days) for days in range(4)]
    _pruned(store, max_bytes=max_bytes)

    assert ids[:left] == [manifest.package_id for manifest in store.list()]


def test_by_number(store: PackageStore, keep: Keep) -> None:
    """Given alone, all but the newest are removed."""
    ids = [keep(days) for days in range(4)]

    assert ([ids[3], ids[2]], []) == _pruned(store, keep=2)
    assert ([ids[1], ids[0]], []) == _pruned(store, keep=0)


def test_the_newest_stay_whatever_the_others_say(store: PackageStore, keep: Keep) -> None:
    """A service that has not been built for a year keeps its last packages."""
    ids = [keep(days) for days in (300, 400, 500)]

    assert ([ids[2]], []) == _pruned(store, days=30, max_bytes=0, keep=2)


def test_by_age_or_by_size(store: PackageStore, keep: Keep) -> None:
    """Each of the two rules suffices."""
    ids = [keep(days) for days in (1, 2, 3, 50)]

    assert ([ids[3], ids[2]], []) == _pruned(store, days=30, max_bytes=20)


def test_nothing_asked(store: PackageStore) -> None:
    """Without a rule, the request is invalid."""
    with pytest.raises(InvalidInputError):
        Retention()


def test_a_dry_run_removes_nothing(store: PackageStore, keep: Keep) -> None:
    """It returns the same result."""
    ids = [keep(days) for days in range(3)]
    with store.open(ids[2]):
        assert ([ids[1]], [ids[2]]) == _pruned(store, keep=1, dry_run=True)

    assert ids == [manifest.package_id for manifest in store.list()]


def test_what_is_open_stays(store: PackageStore, keep: Keep) -> None:
    """It stays until it is closed; for a size, the next oldest are removed instead."""
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
    """The package is in use until that process ends."""
    package_id = keep(9)
    command = [sys.executable, "-c", _READER, str(tmp_path), package_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        assert b"open\n" == reader.stdout.readline()
        assert ([], [package_id]) == _pruned(store, keep=0)
        reader.kill()
        reader.wait()

        assert ([package_id], []) == _pruned(store, keep=0)


def test_a_package_without_its_file_may_go(store: PackageStore, keep: Keep) -> None:
    """Such a package cannot be opened, so it is not in use."""
    package_id = keep(9)
    store.path_of(package_id).unlink()

    assert ([package_id], []) == _pruned(store, keep=0)
    assert not store.ids()


def test_a_package_with_a_damaged_manifest_stays(store: PackageStore, keep: Keep) -> None:
    """Its age is unknown; `packages check` finds it."""
    package_id = keep(9)
    (store.path_of(package_id).parent / "manifest.json").write_bytes(b"{}")

    assert ([], []) == _pruned(store, keep=0)
    assert [package_id] == store.ids()


def test_a_package_of_a_newer_version_stays(store: PackageStore, keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    """This version cannot read how old it is; the log says so, and a check reports it."""
    package_id = keep(9)
    manifest = store.path_of(package_id).parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 2'))

    assert ([], []) == _pruned(store, keep=0)
    assert [True] == ["a newer version" in record.getMessage() for record in caplog.records]
    checked = check(store, package_id, hash_file)
    assert checked is not None
    assert PackageTooNewError is type(checked.error)


class _RemovedByAnother(PackageStore):
    """A store whose packages another process removes first."""

    def remove(self, package_id: str) -> None:
        super().remove(package_id)
        super().remove(package_id)


def test_two_processes_may_prune_at_once(tmp_path: Path, keep: Keep) -> None:
    """A package that the other process has removed counts as removed."""
    package_id = keep(9)

    assert ([package_id], []) == _pruned(_RemovedByAnother(tmp_path), keep=0)


class _Broken(PackageStore):
    """A store on a disk that refuses to remove."""

    def remove(self, package_id: str) -> None:
        raise StorageError("read-only")


def test_a_disk_that_refuses(tmp_path: Path, keep: Keep) -> None:
    """The failure is raised."""
    keep(9)

    with pytest.raises(StorageError, match="read-only"):
        _pruned(_Broken(tmp_path), keep=0)

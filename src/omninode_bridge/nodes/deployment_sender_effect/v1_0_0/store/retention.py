"""Verifies stored packages and removes old ones."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from ..errors import InvalidInputError, OperationError, PackageDamagedError, PackageNotFoundError
from ..package.manifest import PackageManifest
from .files import disk_errors
from .packages import PackageStore

__all__ = ["Checked", "Pruned", "Retention", "check", "prune"]


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one check.

    Attributes:
        size_bytes: Of the package file; 0 where it could not be opened.
        error: What is wrong: a `PackageDamagedError`, or a `StorageError` where it could not be read; None if nothing.
    """

    package_id: str
    size_bytes: int = 0
    error: OperationError | None = None


def check(store: PackageStore, package_id: str, hash_file: Callable[[BinaryIO], str]) -> Checked | None:
    """Read a package again and compare it with its manifest.

    Args:
        store: Where it is.
        package_id: Its id.
        hash_file: Returns the BLAKE3 of an open file, 64 hex digits.

    Returns:
        The result; None if there is no such package, or not any more.
    """
    try:
        with store.open(package_id) as package:
            with disk_errors("read", package.path):
                checksum = hash_file(package.file)
            manifest = package.manifest
    except PackageNotFoundError:
        return None
    except OperationError as error:
        return Checked(package_id, error=error)
    if checksum == manifest.checksum:
        return Checked(package_id, manifest.size_bytes)
    return Checked(
        package_id,
        manifest.size_bytes,
        PackageDamagedError(
            f"package {package_id} is damaged: its file has the checksum {checksum}; it had {manifest.checksum} when it"
            " was made"
        ),
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """The rule that decides which packages are removed; at least one of these is given.

    Attributes:
        older_than: Older packages are removed.
        max_bytes: The oldest are removed until all package files together have at most this size.
        keep: This number of the newest is never removed; given alone, all others are.

    Raises:
        InvalidInputError: None of the three is given.
    """

    older_than: timedelta | None = None
    max_bytes: int | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.older_than is None and self.max_bytes is None and self.keep is None:
            raise InvalidInputError(
                "no rule says which packages to remove",
                recovery="Give at least one of --older-than, --max-size and --keep.",
            )

    def removes(self, age: timedelta, total_bytes: int) -> bool:
        """Whether a package that is not among the newest `keep` is removed.

        Args:
            age: Of the package.
            total_bytes: Of all package files that the store holds now.
        """
        if self.older_than is None and self.max_bytes is None:
            return True
        too_old = self.older_than is not None and age > self.older_than
        return too_old or (self.max_bytes is not None and total_bytes > self.max_bytes)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of a pruning, oldest first.

    Attributes:
        removed: Removed packages.
        in_use: Packages that were not removed because a process has them open.
    """

    removed: tuple[PackageManifest, ...]
    in_use: tuple[PackageManifest, ...]

    @property
    def removed_bytes(self) -> int:
        """Size of the removed package files."""
        return sum(manifest.size_bytes for manifest in self.removed)


def prune(store: PackageStore, retention: Retention, *, now: datetime, dry_run: bool = False) -> Pruned:
    """Remove packages by a rule, oldest first; never one that is open, or whose manifest cannot be read.

    Args:
        store: Holds the packages.
        retention: The rule.
        now: With its time zone.
        dry_run: Only return what would be removed.

    Raises:
        StorageError: The disk refuses.
    """
    newest_first = store.list()
    total_bytes = sum(manifest.size_bytes for manifest in newest_first)
    removed, in_use = [], []
    for manifest in reversed(newest_first[retention.keep or 0 :]):
        if not retention.removes(now - manifest.created_at, total_bytes):
            continue
        if _try_remove(store, manifest.package_id, dry_run=dry_run):
            removed.append(manifest)
            total_bytes -= manifest.size_bytes
        else:
            in_use.append(manifest)
    return Pruned(tuple(removed), tuple(in_use))


def _try_remove(store: PackageStore, package_id: str, *, dry_run: bool) -> bool:
    try:
        with store.unused(package_id) as is_unused:
            if is_unused and not dry_run:
                store.remove(package_id)
            return is_unused
    except PackageNotFoundError:
        return True  # another process has removed it

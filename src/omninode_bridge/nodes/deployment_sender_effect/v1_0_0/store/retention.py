"""Which packages are still what they were, and which are still wanted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from ..errors import DeploymentSenderError, ErrorCode
from ..package.manifest import PackageManifest
from .files import disk_errors
from .packages import PackageStore

__all__ = ["Checked", "Pruned", "Retention", "check", "prune"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        size_bytes: Of the package file; 0 where it could not be opened.
        error: What is wrong with the package: `CHECKSUM_MISMATCH`, or `BUILD_FAILED` where the disk refuses to read.
    """

    package_id: str
    size_bytes: int = 0
    error: DeploymentSenderError | None = None


def check(store: PackageStore, package_id: str, hash_file: Callable[[BinaryIO], str]) -> Checked | None:
    """Read a package again and hold it against its manifest.

    Args:
        store: Where it is.
        package_id: Its id.
        hash_file: Answers the BLAKE3 of an open file, 64 hex digits.

    Returns:
        What was found; None if there is no such package (any more).
    """
    try:
        with store.open(package_id) as package:
            with disk_errors("read", package.path):
                checksum = hash_file(package.file)
            manifest = package.manifest
    except DeploymentSenderError as error:
        return None if error.code is ErrorCode.VALIDATION_ERROR else Checked(package_id, error=error)
    if checksum == manifest.checksum:
        return Checked(package_id, manifest.size_bytes)
    return Checked(
        package_id,
        manifest.size_bytes,
        DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            f"package {package_id} is damaged: its file has the checksum {checksum}, and had {manifest.checksum} when"
            " it was made",
        ),
    )


@dataclass(frozen=True, slots=True)
class Retention:
    """What a store may keep; at least one of these is given.

    Attributes:
        older_than: Packages of a greater age go.
        max_bytes: The oldest go until all package files together have this size at most.
        keep: So many of the newest stay, whatever the others say; given alone, all but these go.
    """

    older_than: timedelta | None = None
    max_bytes: int | None = None
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.older_than is None and self.max_bytes is None and self.keep is None:
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR,
                "nothing says which packages may go",
                recovery="Give at least one of --older-than, --max-size and --keep.",
            )

    def lets_go(self, age: timedelta, total_bytes: int) -> bool:
        """Tell whether a package that is not among the newest may go.

        Args:
            age: The package's.
            total_bytes: Of what the store holds now.
        """
        if self.older_than is None and self.max_bytes is None:
            return True
        too_old = self.older_than is not None and age > self.older_than
        return too_old or (self.max_bytes is not None and total_bytes > self.max_bytes)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning did, oldest first.

    Attributes:
        removed: What went.
        in_use: What should have gone, and stayed because somebody has it open.
    """

    removed: tuple[PackageManifest, ...]
    in_use: tuple[PackageManifest, ...]

    @property
    def removed_bytes(self) -> int:
        """Size of the package files that went."""
        return sum(manifest.size_bytes for manifest in self.removed)


def prune(store: PackageStore, retention: Retention, *, now: datetime, dry_run: bool = False) -> Pruned:
    """Remove what need not be kept, oldest first; never what somebody has open, and nothing with a damaged manifest.

    Args:
        store: Where to remove.
        retention: What to keep.
        now: With its time zone.
        dry_run: Only tell what would go.

    Raises:
        DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
    """
    newest_first = store.list()
    total_bytes = sum(manifest.size_bytes for manifest in newest_first)
    removed, in_use = [], []
    for manifest in reversed(newest_first[retention.keep or 0 :]):
        if not retention.lets_go(now - manifest.created_at, total_bytes):
            continue
        if _removed(store, manifest.package_id, dry_run=dry_run):
            removed.append(manifest)
            total_bytes -= manifest.size_bytes
        else:
            in_use.append(manifest)
    return Pruned(tuple(removed), tuple(in_use))


def _removed(store: PackageStore, package_id: str, *, dry_run: bool) -> bool:
    try:
        with store.unused(package_id) as is_unused:
            if is_unused and not dry_run:
                store.remove(package_id)
            return is_unused
    except DeploymentSenderError as error:
        if error.code is not ErrorCode.VALIDATION_ERROR:
            raise
        return True  # somebody else has removed it

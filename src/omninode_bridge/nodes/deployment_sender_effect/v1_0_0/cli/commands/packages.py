"""`deployment-sender packages`: lists, checks and removes the packages of the store."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer

from ...concurrency import run_in_thread
from ...errors import ErrorCode
from ...package.checksum import hash_file
from ...package.manifest import PackageManifest
from ...ports import Progress
from ...settings import BYTES_PER_GB
from ...store.packages import PackageStore
from ...store.retention import Checked, Pruned, Retention, check, prune
from ..console import Console, table
from ..failures import ShownError, public_code
from ..options import PackageId
from ..session import Session
from ..units import size, when

__all__ = ["check_packages", "list_packages", "prune_packages", "remove_package"]

Days = Annotated[
    int | None, typer.Option(min=0, max=36_500, metavar="DAYS", help="Remove packages that are older than this.")
]
Newest = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Always keep the newest N; given alone, remove all others."),
]
MaxSize = Annotated[
    float | None,
    typer.Option(min=0, max=1_000_000, metavar="GB", help="Remove the oldest until the rest is no larger than this."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")]


async def list_packages(session: Session) -> bool:
    """List the packages, newest first."""
    store = PackageStore(session.settings().package_folder)
    found = await asyncio.to_thread(store.list)
    session.console.document({"packages": [manifest.model_dump(mode="json", by_alias=True) for manifest in found]})
    session.console.print_lines(*(_lines(found) if found else [f"no packages in {session.settings().package_folder}"]))
    return True


async def remove_package(session: Session, package_id: PackageId) -> bool:
    """Remove a package from the store."""
    store = PackageStore(session.settings().package_folder)
    await asyncio.to_thread(store.remove, package_id)
    session.console.document({"success": True, "package_id": package_id})
    session.console.print_lines(f"removed {package_id}")
    return True


async def check_packages(session: Session) -> bool:
    """Read every package again and compare it with its checksum.

    The exit code is 1 if any is damaged.
    """
    store = PackageStore(session.settings().package_folder)
    checked = await _checked(session.console, store, await asyncio.to_thread(store.ids))
    damaged = [one for one in checked if one.error]
    success, checked_bytes = not damaged, sum(one.size_bytes for one in checked)
    session.console.document(
        {
            "success": success,
            "checked": len(checked),
            "checked_bytes": checked_bytes,
            "damaged": [_damage(one.package_id, one.error) for one in checked if one.error],
        }
    )
    session.console.print_lines(*(one.error.message for one in damaged if one.error))
    session.console.print_lines(
        f"{_count(len(checked))} checked, {size(checked_bytes)}, {len(damaged) or 'none'} damaged"
    )
    if damaged:
        session.console.error(
            f"{len(damaged)} of {_count(len(checked))} damaged",
            "Remove them with `deployment-sender packages remove PACKAGE_ID`, package their images again, and check"
            " the disk.",
            ErrorCode.CHECKSUM_MISMATCH,
        )
    return success


async def prune_packages(
    session: Session,
    older_than: Days = None,
    max_size: MaxSize = None,
    keep: Newest = None,
    dry_run: DryRun = False,
) -> bool:
    """Remove packages by age, size or number, the oldest first.

    A package that is being sent is kept.
    """
    retention = Retention(
        older_than=None if older_than is None else timedelta(days=older_than),
        max_bytes=None if max_size is None else int(max_size * BYTES_PER_GB),
        keep=keep,
    )
    store = PackageStore(session.settings().package_folder)
    pruned = await run_in_thread(partial(prune, store, retention, now=datetime.now(UTC), dry_run=dry_run))
    session.console.document(
        {
            "success": True,
            "dry_run": dry_run,
            "removed": [manifest.package_id for manifest in pruned.removed],
            "removed_bytes": pruned.removed_bytes,
            "in_use": [manifest.package_id for manifest in pruned.in_use],
        }
    )
    session.console.print_lines(*_pruned_lines(pruned, "would remove" if dry_run else "removed"))
    return True


async def _checked(console: Console, store: PackageStore, package_ids: list[str]) -> list[Checked]:
    found: list[Checked] = []
    stopped = threading.Event()
    done_bytes = 0
    with console.step(f"checking {_count(len(package_ids))}") as step:
        for package_id in package_ids:
            read = partial(check, store, package_id, partial(hash_file, should_stop=stopped.is_set))
            one = await run_in_thread(read, stop=stopped.set)
            if one is not None:
                found.append(one)
                done_bytes += one.size_bytes
                step.on_progress(Progress(stage="check", done_bytes=done_bytes))
    return found


def _damage(package_id: str, error: ShownError) -> dict[str, str]:
    return {"package_id": package_id, "error_code": public_code(error), "error_message": error.message}


def _pruned_lines(pruned: Pruned, removed: str) -> list[str]:
    lines = [f"{removed} {_described(manifest)}" for manifest in pruned.removed]
    lines += [f"in use, kept: {_described(manifest)}" for manifest in pruned.in_use]
    return [*lines, f"{removed} {_count(len(pruned.removed))}, {size(pruned.removed_bytes)}"]


def _described(manifest: PackageManifest) -> str:
    image = f"{manifest.container_name}:{manifest.image_tag}"
    return f"{manifest.package_id}  {image}  {size(manifest.size_bytes)}  {when(manifest.created_at)}"


def _count(packages: int) -> str:
    return f"{packages} package{'' if packages == 1 else 's'}"


def _lines(found: list[PackageManifest]) -> list[str]:
    rows = [
        (
            one.package_id,
            f"{one.container_name}:{one.image_tag}",
            one.platform or "-",
            size(one.size_bytes),
            one.compression,
            one.checksum[:16],
            when(one.created_at),
        )
        for one in found
    ]
    return table(("PACKAGE", "IMAGE", "PLATFORM", "SIZE", "COMPRESSION", "BLAKE3", "CREATED (UTC)"), rows)

"""The package to send: opened, compared with the request, and verified while it is sent."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..concurrency import retrieve_exception, run_in_thread, wait_until_done
from ..errors import ChecksumMismatchError, InvalidInputError, PackageDamagedError
from ..models import ModelPackageTransferInput
from ..package.checksum import hash_file
from ..store.files import disk_errors
from ..telemetry.metrics import Span

if TYPE_CHECKING:
    from ..package.manifest import PackageManifest
    from ..store.packages import PackageStore, StoredPackage

__all__ = ["check_package_path", "open_package", "require_checksum", "verify_while_sending"]

Verified = Callable[[], Awaitable[None]]


async def open_package(store: "PackageStore", request: ModelPackageTransferInput) -> "StoredPackage":
    """Open the package of a request, and check that path, name and tag of the request are those of the package.

    Returns:
        The open package; the caller closes it.

    Raises:
        InvalidInputError: There is no such package, or the request contradicts it.
        PackageDamagedError: The package is not what its manifest says.
        StorageError: The disk refuses.
    """
    with ExitStack() as unless_correct:
        package = await run_in_thread(lambda: unless_correct.enter_context(store.open(request.package_id)))
        if request.package_path is not None:
            await asyncio.to_thread(check_package_path, request.package_path, package.path)
        for name in ("container_name", "image_tag"):
            given, stored = getattr(request, name), getattr(package.manifest, name)
            if given not in {None, stored}:
                raise InvalidInputError(
                    f"package {request.package_id} has the {name} {stored!r}, not {given!r}",
                    recovery=f"Leave {name} out, or give the id of the package that you want to send.",
                )
        unless_correct.pop_all()
    return package


def require_checksum(manifest: "PackageManifest", announced: str | None) -> None:
    """Check that the package has the checksum that the request announces, if it announces one.

    Raises:
        ChecksumMismatchError: It has another one.
    """
    if announced not in {None, manifest.checksum}:
        raise ChecksumMismatchError(
            f"package {manifest.package_id} has the checksum {manifest.checksum}, not {announced}",
            recovery="Give the checksum that package_container returned, or the id of the package that you want to"
            " send.",
        )


@asynccontextmanager
async def verify_while_sending(package: "StoredPackage", span: Span, *, verify: bool) -> AsyncIterator[Verified]:
    """Hash the package's file beside the body of the `with`, which succeeds only if the file is what it was.

    Args:
        package: The open package.
        span: Times the verification, as its stage `check`.
        verify: Whether to hash at all.

    Yields:
        A function for `PackageContent.verified`: its awaitable ends when the file is verified.

    Raises:
        PackageDamagedError: The file has another checksum than its manifest; raised there, and at the end of the body.
        StorageError: The disk refuses; likewise.
    """
    if not verify:
        yield _return_at_once
        return
    verification = asyncio.ensure_future(_verify_file(package, span))
    try:
        yield partial(asyncio.shield, verification)
        await asyncio.shield(verification)  # a receiver that has the package already may have responded first
    finally:
        verification.cancel()
        await wait_until_done({verification})
        retrieve_exception(verification)


async def _return_at_once() -> None:
    """Return: nothing is verified."""


async def _verify_file(package: "StoredPackage", span: Span) -> None:
    manifest, stopped = package.manifest, threading.Event()
    with span.stage("check"):
        found = await run_in_thread(_hash, package, stopped.is_set, stop=stopped.set)
    if found != manifest.checksum:
        raise PackageDamagedError(
            f"the file of package {manifest.package_id} has the checksum {found} and had {manifest.checksum} when it"
            " was made; it was not sent to its end"
        )


def _hash(package: "StoredPackage", should_stop: Callable[[], bool]) -> str:
    with disk_errors("read", package.path):
        return hash_file(package.file, should_stop, max_bytes=package.manifest.size_bytes)


def check_package_path(package_path: str, expected: Path) -> None:
    """Check that a caller's path is that of the store's own file, by its spelling: no link is followed.

    Args:
        package_path: As the caller gave it, absolute or relative.
        expected: The path of the package's file in the store.

    Raises:
        InvalidInputError: It is another path.
    """
    if os.path.normpath(Path(package_path).absolute()) != str(expected):
        raise InvalidInputError(f"package_path is not the file of this package; leave it out, or pass {expected}")

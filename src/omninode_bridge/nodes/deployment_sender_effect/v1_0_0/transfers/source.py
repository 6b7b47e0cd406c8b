"""The package that is sent: opened, what its request says of it insisted on, and its file checked beside the upload."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..concurrency import run_in_thread, wait_until_done
from ..errors import DeploymentSenderError, ErrorCode
from ..models import ModelPackageTransferInput
from ..package.checksum import hash_file
from ..store.files import disk_errors
from ..telemetry.metrics import Span

if TYPE_CHECKING:
    from ..package.manifest import PackageManifest
    from ..store.packages import PackageStore, StoredPackage

__all__ = ["disk_errors_of_a_transfer", "open_package", "require_checksum", "verify_while_sending"]


@asynccontextmanager
async def open_package(store: "PackageStore", request: ModelPackageTransferInput) -> AsyncIterator["StoredPackage"]:
    """Open the package that a request means, and insist that it means what it says."""
    held = ExitStack()
    try:
        with disk_errors_of_a_transfer():
            package = await run_in_thread(lambda: held.enter_context(store.open(request.package_id)))
        if request.package_path is not None:
            await asyncio.to_thread(check_package_path, request.package_path, package.path)
        for name in ("container_name", "image_tag"):
            given, kept = getattr(request, name), getattr(package.manifest, name)
            if given not in {None, kept}:
                raise DeploymentSenderError(
                    ErrorCode.VALIDATION_ERROR,
                    f"package {request.package_id} has the {name} {kept!r}, not {given!r}",
                    recovery=f"Leave {name} out, or give the id of the package that is meant.",
                )
        yield package
    finally:
        held.close()


def require_checksum(manifest: "PackageManifest", announced: str | None) -> None:
    """Insist that the package is the one that was announced."""
    if announced not in {None, manifest.checksum}:
        raise DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            f"package {manifest.package_id} has the checksum {manifest.checksum}, not {announced}",
            recovery="Give the checksum that package_container answered, or the id of the package that is meant.",
        )


@asynccontextmanager
async def verify_while_sending(
    package: "StoredPackage", span: Span, *, verify: bool
) -> AsyncIterator[asyncio.Future[None] | None]:
    """Check the package's file beside the body, which ends well only if the check does."""
    if not verify:
        yield None
        return
    check = asyncio.ensure_future(_check_file(package, span))
    try:
        yield check
        await asyncio.shield(check)  # a receiver that has it already may have answered first
    finally:
        check.cancel()
        await wait_until_done({check})
        check.cancelled() or check.exception()  # told by now, or no longer of interest


async def _check_file(package: "StoredPackage", span: Span) -> None:
    """Insist that the package's file is still what it was."""
    manifest, stopped = package.manifest, threading.Event()
    with disk_errors_of_a_transfer(), span.stage("check"):
        found = await run_in_thread(_hash, package, stopped.is_set, stop=stopped.set)
    if found != manifest.checksum:
        raise DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            f"the file of package {manifest.package_id} has the checksum {found} and had {manifest.checksum} when it"
            " was made; it was not sent to its end",
        )


def _hash(package: "StoredPackage", should_stop: Callable[[], bool]) -> str:
    with disk_errors("read", package.path):
        return hash_file(package.file, should_stop, max_bytes=package.manifest.size_bytes)


@contextmanager
def disk_errors_of_a_transfer() -> Iterator[None]:
    """Give a disk's refusal the code of what it made fail."""
    try:
        yield
    except DeploymentSenderError as error:
        if error.code is not ErrorCode.BUILD_FAILED:
            raise
        raise DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED, error.message, recovery=error.recovery, retry=False
        ) from error


def check_package_path(package_path: str, expected: Path) -> None:
    """Insist that a caller's path is that of the store's own file, by its spelling: no link is followed.

    Args:
        package_path: What the caller passed, absolute or relative.
        expected: What the store answers for the package.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`: it is another one.
    """
    if os.path.abspath(package_path) != str(expected):  # noqa: PTH100 - Path.resolve follows links
        raise DeploymentSenderError(
            ErrorCode.VALIDATION_ERROR,
            f"package_path is not the file of this package; leave it out, or pass {expected}",
        )

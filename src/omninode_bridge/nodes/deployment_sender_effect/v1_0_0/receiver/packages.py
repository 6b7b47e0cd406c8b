"""Reads a package on the disk: proves that it is what was announced, then hands out the archive inside."""

import asyncio
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

from ..errors import DeploymentSenderError, ErrorCode
from ..pipeline.archive import ArchiveError, ArchiveReader, ImageArchive
from ..pipeline.checksum import Hasher, HashingStoppedError, hash_file, hasher
from ..pipeline.compression import CompressionError, decompressed, detect
from .deployments import Deployment
from .limits import CHECKS_AT_ONCE, PIECE_BYTES, UNPACKED_FACTOR
from .shared import Shared

__all__ = ["Packages", "StoppedError", "check_package", "still_unpacked", "unpacked"]

_MAGIC_BYTES = 4
# The end of an archive: more than the zeros that a tar program puts after the last member (10 KiB for GNU tar).
_END_BYTES = 65_536


class Packages:
    """Reads packages for everybody, in threads, a few at once.

    Args:
        shared: The receiver's own.
    """

    def __init__(self, shared: Shared) -> None:
        self._workers = shared.workers
        self._slots = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._max_bytes = shared.settings.max_package_size_bytes * UNPACKED_FACTOR

    async def check(self, path: Path, deployment: Deployment) -> ImageArchive:
        """Read a package through, as `check_package` does; a cancellation stops it.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`, `CHECKSUM_MISMATCH` or `PACKAGE_TOO_LARGE`.
            OSError: The file cannot be read.
        """
        stop = threading.Event()
        async with self._slots:
            work = self._workers.begin(check_package, path, deployment, max_bytes=self._max_bytes, stop=stop)
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                stop.set()
                await asyncio.wait([work])
                work.exception()  # says that it was stopped; nobody else asks
                raise

    def unpacked(self, path: Path, deployment: Deployment) -> Generator[bytes, None, None]:
        """Yield the image archive in a package, as `still_unpacked` does; blocks."""
        return still_unpacked(path, deployment, max_bytes=self._max_bytes)


class StoppedError(Exception):
    """The reader was told to stop."""


def unpacked(
    path: Path, deployment: Deployment, *, max_bytes: int, digest: Hasher | None = None
) -> Generator[bytes, None, None]:
    """Yield the image archive in a package, in pieces of at most 1 MiB.

    Args:
        path: The package file.
        deployment: What was announced.
        max_bytes: The limit on what comes out.
        digest: Told the bytes of the file.

    Raises:
        CompressionError: The file is damaged.
        DeploymentSenderError: `PACKAGE_TOO_LARGE`, before a piece that crosses the limit.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        kind = deployment.compression or detect(file.read(_MAGIC_BYTES))
        file.seek(0)

        def pieces() -> Iterator[bytes]:
            while piece := file.read(PIECE_BYTES):
                if digest is not None:
                    digest.update(piece)
                yield piece

        yield from decompressed(pieces(), kind, max_bytes=max_bytes)


def still_unpacked(path: Path, deployment: Deployment, *, max_bytes: int) -> Generator[bytes, None, None]:
    """Yield the image archive in a package that was checked, its end only if the file is still what it was.

    Whoever loads what comes here has no whole archive, and so loads nothing, if the file was damaged meanwhile.

    Args:
        path: The package file.
        deployment: What was announced.
        max_bytes: The limit on what comes out.

    Raises:
        DeploymentSenderError: `CHECKSUM_MISMATCH`.
        OSError: The file cannot be read.
    """
    digest, held, held_bytes = hasher(), deque[bytes](), 0
    try:
        with closing(unpacked(path, deployment, max_bytes=max_bytes, digest=digest)) as pieces:
            for piece in pieces:
                held.append(piece)
                held_bytes += len(piece)
                while held_bytes - len(held[0]) >= _END_BYTES:
                    held_bytes -= len(held[0])
                    yield held.popleft()
    except CompressionError as exc:
        raise _damaged() from exc
    _must_match(digest.hexdigest(), deployment)
    yield from held


def check_package(path: Path, deployment: Deployment, *, max_bytes: int, stop: threading.Event) -> ImageArchive:
    """Read a package once: its checksum, its compression, and that it holds the announced image and no other.

    Args:
        path: The package file.
        deployment: What was announced.
        max_bytes: The limit on what it unpacks to.
        stop: Asked before each piece.

    Raises:
        DeploymentSenderError: `VALIDATION_ERROR`, `CHECKSUM_MISMATCH` or `PACKAGE_TOO_LARGE`.
        StoppedError: `stop` was set.
        OSError: The file cannot be read.
    """
    digest = hasher()
    reader = ArchiveReader()
    try:
        with closing(unpacked(path, deployment, max_bytes=max_bytes, digest=digest)) as pieces:
            for piece in pieces:
                if stop.is_set():
                    raise StoppedError
                reader.feed(piece)
        archive = reader.finish()
    except (ArchiveError, CompressionError) as exc:
        _must_match(_hash(path, stop), deployment)  # a damaged package mostly fails to unpack, too
        raise _wrong(f"the package holds no image that may be loaded: {exc}") from exc
    _must_match(digest.hexdigest(), deployment)
    if not archive.names(deployment.reference):
        names = ", ".join(archive.references) or "no name at all"
        raise _wrong(f"the package was announced as {deployment.reference}, and its image has {names}")
    if deployment.announced_image_id and not archive.is_image(deployment.announced_image_id):
        raise _wrong(f"the image in the package is {archive.config_digest}, not {deployment.announced_image_id}")
    return archive


def _hash(path: Path, stop: threading.Event) -> str:
    try:
        with path.open("rb") as file:
            return hash_file(file, stop.is_set)
    except HashingStoppedError as exc:
        raise StoppedError from exc


def _must_match(checksum: str, deployment: Deployment) -> None:
    if checksum != deployment.checksum:
        raise _damaged()


def _damaged() -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.CHECKSUM_MISMATCH, "the stored package is damaged")


def _wrong(message: str) -> DeploymentSenderError:
    return DeploymentSenderError(ErrorCode.VALIDATION_ERROR, message)

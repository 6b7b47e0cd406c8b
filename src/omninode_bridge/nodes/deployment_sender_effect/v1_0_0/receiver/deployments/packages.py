"""Reads a package on the disk: proves that it is what was announced, then writes the archive that the engine reads."""

import asyncio
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from ...errors import InvalidInputError, OperationError, PackageDamagedError
from ...image.compression import CompressionError, decompressed, detect
from ...image.docker_archive import ArchiveError, ArchiveReader, ImageArchive
from ...image.engine_archive import EngineArchive
from ...image.layers import Contents
from ...models.reference import normalized
from ...package.checksum import Hasher, HashingStoppedError, hash_file, hasher
from ..limits import CHECKS_AT_ONCE, PIECE_BYTES, UNPACKED_FACTOR
from ..state import ReceiverState
from .record import Deployment

__all__ = ["INCOMING", "Packages", "StoppedError", "check_package", "written_for_engine"]

# Images have a name of this repository until they were compared; RFC 2606 keeps `.invalid` free of names that resolve.
INCOMING = "incoming.invalid/deployment"
_INCOMING_DOMAIN = INCOMING.partition("/")[0]
_MAGIC_BYTES = 4


class Packages:
    """Reads packages for everybody, in threads, a few at once.

    Args:
        shared: The receiver's own.
    """

    def __init__(self, shared: ReceiverState) -> None:
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

    def written_for_engine(
        self, path: Path, deployment: Deployment, archive: EngineArchive
    ) -> Generator[bytes, None, None]:
        """Yield the archive for the engine, as `written_for_engine` does; blocks."""
        return written_for_engine(path, deployment, archive, max_bytes=self._max_bytes)


class StoppedError(Exception):
    """The reader was told to stop."""


def _unpacked(
    file: BinaryIO, deployment: Deployment, raw: Iterator[bytes], max_bytes: int
) -> Generator[bytes, None, None]:
    """Yield the image archive in a package file, whose bytes come by `raw`, in pieces of at most 1 MiB."""
    kind = deployment.identity.compression or detect(file.read(_MAGIC_BYTES))
    file.seek(0)
    yield from decompressed(raw, kind, max_bytes=max_bytes)


def _hashed(file: BinaryIO, digest: Hasher) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
        yield piece


def written_for_engine(
    path: Path, deployment: Deployment, archive: EngineArchive, *, max_bytes: int
) -> Generator[bytes, None, None]:
    """Yield the archive for the engine, from a package that was checked; its end only if the file is what it was.

    Whoever loads what comes here has no whole archive, and so loads nothing, if the file was damaged meanwhile.

    Args:
        path: The package file.
        deployment: What was announced.
        archive: What is to be written.
        max_bytes: The limit on what the package unpacks to.

    Raises:
        DeploymentSenderError: `CHECKSUM_MISMATCH`.
        OSError: The file cannot be read.
    """
    digest = hasher()
    with path.open("rb") as file:
        raw = _hashed(file, digest)
        yield archive.begin()
        try:
            with closing(_unpacked(file, deployment, raw, max_bytes)) as pieces:
                yield from archive.layers(pieces)
        except (ArchiveError, CompressionError) as exc:
            raise _damaged() from exc
        for _ in raw:  # the rest belongs to the checksum, and is not unpacked again
            pass
    _must_match(digest.hexdigest(), deployment)
    yield archive.end()


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
    if normalized(deployment.reference).partition("/")[0].lower() == _INCOMING_DOMAIN:
        raise _wrong(f"the receiver keeps names of {_INCOMING_DOMAIN} for itself")
    digest = hasher()
    reader = ArchiveReader(contents=Contents(max_bytes))
    try:
        with (
            path.open("rb") as file,
            closing(_unpacked(file, deployment, _hashed(file, digest), max_bytes)) as pieces,
        ):
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
    if deployment.announced_digest and not archive.is_image(deployment.announced_digest):
        raise _wrong(f"the image in the package is {archive.config_digest}, not {deployment.announced_digest}")
    return archive


def _hash(path: Path, stop: threading.Event) -> str:
    try:
        with path.open("rb") as file:
            return hash_file(file, stop.is_set)
    except HashingStoppedError as exc:
        raise StoppedError from exc


def _must_match(checksum: str, deployment: Deployment) -> None:
    if checksum != deployment.identity.checksum:
        raise _damaged()


def _damaged() -> OperationError:
    return PackageDamagedError("the stored package is damaged")


def _wrong(message: str) -> OperationError:
    return InvalidInputError(message)

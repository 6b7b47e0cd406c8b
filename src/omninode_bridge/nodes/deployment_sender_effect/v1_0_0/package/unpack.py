"""Reads a package file: verifies that it is what was announced, and rewrites its archive for an engine."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from ..errors import InvalidInputError, PackageDamagedError
from ..image.compression import decompressed, detect
from ..image.docker_archive import ImageArchive, read_archive
from ..image.engine_archive import EngineArchive
from ..image.errors import ArchiveError, CompressionError
from ..image.layers import LayerReader
from .checksum import Hasher, HashingStoppedError, hash_file, hasher
from .identity import PackageIdentity

__all__ = ["check_package", "rewritten_for_engine"]

_PIECE_BYTES = 1 << 20  # 1 MiB
_MAGIC_BYTES = 4


def check_package(
    path: Path,
    package: PackageIdentity,
    *,
    announced_digest: str | None,
    max_bytes: int,
    should_stop: Callable[[], bool],
) -> ImageArchive:
    """Read a package once: its checksum, its compression, and that it holds the announced image and no other.

    Args:
        path: The package file.
        package: What was announced.
        announced_digest: The image's id that was announced with it: the digest of its configuration or of a manifest in
            its archive; None if there was none.
        max_bytes: The limit on what the package decompresses to.
        should_stop: Called before each piece.

    Returns:
        What the package holds, with its layers read.

    Raises:
        InvalidInputError: The package holds no image that may be loaded, or another one than announced.
        PackageDamagedError: The checksum is another.
        PackageTooLargeError: It decompresses to more than the limit.
        HashingStoppedError: `should_stop` returned True.
        OSError: The file cannot be read.
    """
    digest = hasher()
    try:
        with path.open("rb") as file, closing(_archive(file, package, _hashed(file, digest), max_bytes)) as pieces:
            archive = read_archive(_until(pieces, should_stop), layers=LayerReader(max_bytes))
    except ArchiveError as exc:
        with path.open("rb") as file:  # a damaged package mostly fails to decompress, too
            _check_checksum(hash_file(file, should_stop), package)
        raise InvalidInputError(f"the package holds no image that may be loaded: {exc}") from exc
    _check_checksum(digest.hexdigest(), package)
    _check_image(archive, package, announced_digest)
    return archive


def _check_image(archive: ImageArchive, package: PackageIdentity, announced_digest: str | None) -> None:
    if not archive.names(package.reference):
        names = ", ".join(archive.references) or "no name at all"
        raise InvalidInputError(f"the package was announced as {package.reference}, and its image has {names}")
    if announced_digest and not archive.is_image(announced_digest):
        raise InvalidInputError(f"the image in the package is {archive.config_digest}, not {announced_digest}")


def rewritten_for_engine(
    path: Path, package: PackageIdentity, archive: EngineArchive, *, max_bytes: int
) -> Generator[bytes, None, None]:
    """Yield the archive for the engine, from a package that was checked; its end only if the file is unchanged.

    An engine that is given less has no whole archive, and so loads nothing, if the file was damaged meanwhile.

    Args:
        path: The package file.
        package: What was announced.
        archive: What is to be written.
        max_bytes: The limit on what the package decompresses to.

    Raises:
        PackageDamagedError: The file is not what was checked.
        OSError: The file cannot be read.
    """
    digest = hasher()
    with path.open("rb") as file:
        raw = _hashed(file, digest)
        yield archive.begin()
        try:
            with closing(_archive(file, package, raw, max_bytes)) as pieces:
                yield from archive.layers(pieces)
        except ArchiveError as exc:
            raise _damaged() from exc
        for _ in raw:  # the rest belongs to the checksum, and is not decompressed again
            pass
    _check_checksum(digest.hexdigest(), package)
    yield archive.end()


def _archive(
    file: BinaryIO, package: PackageIdentity, raw: Iterator[bytes], max_bytes: int
) -> Generator[bytes | memoryview, None, None]:
    """Yield the image archive in a package file, whose bytes come from `raw`, in pieces of at most 1 MiB."""
    kind = package.compression or detect(file.read(_MAGIC_BYTES))
    file.seek(0)
    try:
        yield from decompressed(raw, kind, max_bytes=max_bytes)
    except CompressionError as exc:  # of the package itself, where one of a layer is only a CompressionError
        raise ArchiveError(str(exc)) from exc


def _hashed(file: BinaryIO, digest: Hasher) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        digest.update(piece)
        yield piece


def _until(
    pieces: Iterator[bytes | memoryview], should_stop: Callable[[], bool]
) -> Generator[bytes | memoryview, None, None]:
    for piece in pieces:
        if should_stop():
            raise HashingStoppedError
        yield piece


def _check_checksum(checksum: str, package: PackageIdentity) -> None:
    if checksum != package.checksum:
        raise _damaged()


def _damaged() -> PackageDamagedError:
    return PackageDamagedError("the stored package is damaged")

"""The package store: `PACKAGE_DIR/packages/PACKAGE_ID/` holds an image's file and its `manifest.json`."""

import errno
import fcntl
import logging
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from ..errors import DeploymentSenderError, ErrorCode, PackageDamagedError, PackageNotFoundError
from ..models.fields import SUFFIXES, Compression
from ..package.manifest import PackageManifest
from .files import disk_errors
from .staging import Staged, Staging

__all__ = ["PackageStore", "StoredPackage"]

_log = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_MANIFEST_MAX_BYTES = 1 << 20
# O_NONBLOCK: a FIFO in the file's place must not hold the reader.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """A package that is open for reading, until `close` or the end of a `with`; so long it is in use.

    Attributes:
        path: Absolute, of the package file.
        file: The package file, without a buffer; its size is the manifest's.
    """

    manifest: PackageManifest
    path: Path
    file: BinaryIO

    def close(self) -> None:
        """Close the file; twice is safe."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PackageStore:
    """Packages in a folder: each is there whole, with its manifest, or not at all.

    Args:
        folder: Absolute; made by the first `begin`.
    """

    def __init__(self, folder: Path) -> None:
        self._staging = Staging(folder)
        self._packages = self._staging.final

    def begin(self, compression: Compression) -> Staged:
        """Start a package, under a new id: the `entry_id` of what is answered.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        return self._staging.begin(str(uuid.uuid4()), f"image{SUFFIXES[compression]}")

    def commit(self, staged: Staged, manifest: PackageManifest) -> Path:
        """Keep a package; answer the path of its file.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        return staged.commit({_MANIFEST: manifest.to_json()})

    def path_of(self, package_id: str) -> Path:
        """Answer the path of a package's file.

        Raises:
            DeploymentSenderError: As `open`.
        """
        return self._packages / package_id / self._manifest(package_id).filename

    def open(self, package_id: str) -> StoredPackage:
        """Open a package for reading.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: there is no such package. `CHECKSUM_MISMATCH`: its file is gone,
                is no file, or has another size than when it was made; or its manifest is damaged. `BUILD_FAILED`: the
                disk refuses.
        """
        manifest = self._manifest(package_id)
        path = self._packages / package_id / manifest.filename
        with ExitStack() as unless_whole:
            file = unless_whole.enter_context(self._file(package_id, path.name))
            with disk_errors("lock", path):
                fcntl.flock(file, fcntl.LOCK_SH)  # `unused` has the other kind; it is held for the time of a removal
            status = os.fstat(file.fileno())
            if not status.st_nlink:
                raise _unknown(package_id)  # removed just now
            if status.st_size != manifest.size_bytes:
                raise _damaged(
                    package_id, f"its file has {status.st_size} bytes, and had {manifest.size_bytes} when it was made"
                )
            unless_whole.pop_all()
        return StoredPackage(manifest, path, file)

    def ids(self) -> list[str]:
        """Answer the ids of all packages, damaged ones too.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        with disk_errors("read", self._packages):
            names = [entry.name for entry in self._packages.iterdir()] if self._packages.is_dir() else []
        return sorted(name for name in names if _is_package_id(name))

    def list(self) -> list[PackageManifest]:
        """Answer all packages, newest first; one whose manifest is damaged is told in the log.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        found = []
        for package_id in self.ids():
            try:
                found.append(self._manifest(package_id))
            except DeploymentSenderError as exc:
                if exc.code is not ErrorCode.VALIDATION_ERROR:  # that is one that was removed just now
                    _log.warning("%s", exc.message)
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def remove(self, package_id: str) -> None:
        """Remove a package; whoever has it open keeps reading it.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: there is no such package. `BUILD_FAILED`: the disk refuses.
        """
        self._folder(package_id)
        try:
            self._staging.remove(package_id)
        except DeploymentSenderError as exc:
            if isinstance(exc.__cause__, FileNotFoundError):
                self._folder(package_id)  # removed meanwhile?
            raise

    @contextmanager
    def unused(self, package_id: str) -> Iterator[bool]:
        """Tell whether nobody has a package open; if so, who opens it waits until the end of the `with`.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: there is no such package. `BUILD_FAILED`: the disk refuses.
        """
        with ExitStack() as held:
            try:
                file = held.enter_context(self._file(package_id, self._manifest(package_id).filename))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_unused = True
            except BlockingIOError:
                is_unused = False
            except DeploymentSenderError as exc:
                if exc.code is not ErrorCode.CHECKSUM_MISMATCH:
                    raise
                is_unused = True  # what is damaged so far cannot be opened
            yield is_unused

    def _folder(self, package_id: str) -> Path:
        folder = self._packages / package_id
        with disk_errors("read", self._packages):
            if _is_package_id(package_id) and folder.is_dir() and not folder.is_symlink():
                return folder
        raise _unknown(package_id)

    def _file(self, package_id: str, name: str) -> BinaryIO:
        path = self._folder(package_id) / name
        try:
            return _opened(package_id, path)
        except DeploymentSenderError:
            self._folder(package_id)  # removed meanwhile?
            raise

    def _manifest(self, package_id: str) -> PackageManifest:
        with self._file(package_id, _MANIFEST) as file, disk_errors("read", self._packages / package_id / _MANIFEST):
            content = file.read(_MANIFEST_MAX_BYTES)
        try:
            manifest = PackageManifest.from_json(content)
        except ValueError as exc:
            raise _damaged(package_id, "its manifest cannot be read") from exc
        if manifest.package_id != package_id:
            raise _damaged(package_id, "its manifest is another package's")
        return manifest


def _is_package_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _opened(package_id: str, path: Path) -> BinaryIO:
    try:
        with disk_errors("read", path):
            file = open(os.open(path, _READ), "rb", buffering=0)  # noqa: PTH123, SIM115 - Path.open follows links
    except DeploymentSenderError as exc:
        if isinstance(exc.__cause__, OSError) and exc.__cause__.errno in {errno.ENOENT, errno.ELOOP}:
            raise _damaged(package_id, f"{path.name} is gone, or a link") from exc
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _damaged(package_id, f"{path.name} is no file")
    return file


def _unknown(package_id: str) -> PackageNotFoundError:
    return PackageNotFoundError(
        f"there is no package {package_id[:64]!r}; `deployment-sender packages` lists those there are",
    )


def _damaged(package_id: str, what: str) -> PackageDamagedError:
    return PackageDamagedError(f"package {package_id} is damaged: {what}")

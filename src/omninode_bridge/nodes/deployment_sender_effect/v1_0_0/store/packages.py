"""The package store: `PACKAGE_DIR/packages/PACKAGE_ID/` holds an image's file and its `manifest.json`."""

import errno
import fcntl
import io
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

from ..errors import PackageDamagedError, PackageNotFoundError, PackageTooNewError, StorageError
from ..models.fields import SUFFIXES, Compression
from ..package.manifest import NewerManifestError, PackageManifest
from .files import disk_errors
from .staging import Staged, Staging

__all__ = ["PackageStore", "StoredPackage"]

_log = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
# 1 MiB, for more than 7,000 layers of about 130 bytes each; Docker allows 125 (github.com/moby/moby,
# layer/layer_store.go: maxLayerDepth).
_MANIFEST_MAX_BYTES = 1 << 20
# O_NONBLOCK: a FIFO in the file's place must not hold the reader.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """A package that is open for reading, and in use, until `close` or the end of a `with`.

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
        """Start a package; its new id is the `entry_id` of what is returned.

        Raises:
            StorageError: The disk refuses.
        """
        return self._staging.begin(str(uuid.uuid4()), f"image{SUFFIXES[compression]}")

    def commit(self, staged: Staged, manifest: PackageManifest) -> Path:
        """Keep a package and return the path of its file.

        Raises:
            StorageError: The disk refuses.
        """
        return staged.commit({_MANIFEST: manifest.to_json()})

    def path_of(self, package_id: str) -> Path:
        """Return the path of a package's file.

        Raises:
            OperationError: As `open`.
        """
        return self._packages / package_id / self._manifest(package_id).filename

    def open(self, package_id: str) -> StoredPackage:
        """Open a package for reading.

        Raises:
            PackageNotFoundError: There is no such package.
            PackageDamagedError: Its file is missing, is not a regular file or has another size than when it was made;
                or its manifest is damaged.
            PackageTooNewError: A newer version of this software wrote it.
            StorageError: The disk refuses.
        """
        manifest = self._manifest(package_id)
        path = self._packages / package_id / manifest.filename
        with ExitStack() as unless_whole:
            file = unless_whole.enter_context(self._file(package_id, path.name))
            with disk_errors("lock", path):
                fcntl.flock(file, fcntl.LOCK_SH)  # waits while `unused` holds the exclusive lock, during a removal
            status = os.fstat(file.fileno())
            if not status.st_nlink:
                raise _not_found(package_id)  # removed just now
            if status.st_size != manifest.size_bytes:
                raise _damaged(
                    package_id, f"its file has {status.st_size} bytes; it had {manifest.size_bytes} when it was made"
                )
            unless_whole.pop_all()
        return StoredPackage(manifest, path, file)

    def ids(self) -> list[str]:
        """Return the ids of all packages, of damaged ones too.

        Raises:
            StorageError: The disk refuses.
        """
        with disk_errors("read", self._packages):
            names = [entry.name for entry in self._packages.iterdir()] if self._packages.is_dir() else []
        return sorted(name for name in names if _is_package_id(name))

    def list(self) -> list[PackageManifest]:
        """Return all packages, newest first; the log names those whose manifest cannot be read.

        Raises:
            StorageError: The disk refuses to list them.
        """
        found = []
        for package_id in self.ids():
            try:
                found.append(self._manifest(package_id))
            except PackageNotFoundError:
                continue  # removed just now
            except (PackageDamagedError, StorageError) as exc:
                _log.warning("%s. %s", exc.message, exc.recovery)
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def remove(self, package_id: str) -> None:
        """Remove a package; a process that has it open can still read it.

        Raises:
            PackageNotFoundError: There is no such package.
            StorageError: The disk refuses.
        """
        self._folder(package_id)
        try:
            self._staging.remove(package_id)
        except StorageError:
            self._folder(package_id)  # another process may have removed it: then it is not found
            raise

    @contextmanager
    def unused(self, package_id: str) -> Iterator[bool]:
        """Whether no process has a package open; if so, `open` waits until the end of the `with`.

        Raises:
            PackageNotFoundError: There is no such package.
            PackageTooNewError: A newer version of this software wrote it.
            StorageError: The disk refuses.
        """
        with ExitStack() as held:
            try:
                file = held.enter_context(self._file(package_id, self._manifest(package_id).filename))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_unused = True
            except BlockingIOError:
                is_unused = False
            except PackageDamagedError:
                is_unused = True  # `open` refuses it
            yield is_unused

    def _folder(self, package_id: str) -> Path:
        folder = self._packages / package_id
        with disk_errors("read", self._packages):
            if _is_package_id(package_id) and folder.is_dir() and not folder.is_symlink():
                return folder
        raise _not_found(package_id)

    def _file(self, package_id: str, name: str) -> BinaryIO:
        path = self._folder(package_id) / name
        try:
            return _open_regular_file(package_id, path)
        except (PackageDamagedError, StorageError):
            self._folder(package_id)  # the whole package may be removed: then it is not found
            raise

    def _manifest(self, package_id: str) -> PackageManifest:
        with self._file(package_id, _MANIFEST) as file, disk_errors("read", self._packages / package_id / _MANIFEST):
            content = file.read(_MANIFEST_MAX_BYTES)
        try:
            manifest = PackageManifest.from_json(content)
        except NewerManifestError as exc:
            raise PackageTooNewError(f"a newer version of this software made package {package_id}: {exc}") from exc
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


def _open_regular_file(package_id: str, path: Path) -> BinaryIO:
    with disk_errors("read", path):
        try:
            file = io.FileIO(os.open(path, _READ), "rb")
        except OSError as exc:
            if exc.errno in {errno.ENOENT, errno.ELOOP}:
                raise _damaged(package_id, f"{path.name} is missing, or is a link") from exc
            raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _damaged(package_id, f"{path.name} is not a regular file")
    return file


def _not_found(package_id: str) -> PackageNotFoundError:
    return PackageNotFoundError(
        f"there is no package {package_id[:64]!r}; `deployment-sender packages` lists the existing ones"
    )


def _damaged(package_id: str, reason: str) -> PackageDamagedError:
    return PackageDamagedError(f"package {package_id} is damaged: {reason}")

"""The package store: `PACKAGE_DIR/packages/PACKAGE_ID/` holds an image's file and its `manifest.json`."""

import logging
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import DeploymentSenderError, ErrorCode
from ..models.fields import Compression
from ..pipeline.compression import SUFFIXES
from .disk import disk_errors
from .manifest import PackageManifest
from .staging import Staged, Staging

__all__ = ["PackageStore", "StoredPackage"]

_log = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_MANIFEST_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """A package that is open for reading.

    Attributes:
        path: Absolute, of the package file.
        file: The package file; its size is the manifest's.
    """

    manifest: PackageManifest
    path: Path
    file: BinaryIO


class PackageStore:
    """Packages in a folder: each whole and matching its manifest, or not there.

    Args:
        folder: Absolute; made by the first `begin`.
    """

    def __init__(self, folder: Path) -> None:
        self._staging = Staging(folder)
        self._packages = self._staging.final

    def begin(self, compression: Compression) -> Staged:
        """Start a package under a new id (`Staged.entry_id`).

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
            DeploymentSenderError: `VALIDATION_ERROR`: there is no such package.
        """
        return self._packages / package_id / self._manifest(package_id).filename

    @contextmanager
    def open(self, package_id: str) -> Iterator[StoredPackage]:
        """Open a package for reading.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: there is no such package. `CHECKSUM_MISMATCH`: its file has not
                the size that it had when it was made.
        """
        manifest = self._manifest(package_id)
        path = self._packages / package_id / manifest.filename
        with disk_errors("read", path), open(_opened(path), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != manifest.size_bytes:
                raise DeploymentSenderError(
                    ErrorCode.CHECKSUM_MISMATCH,
                    f"the file of package {package_id} has {size} bytes and had {manifest.size_bytes} when it was made",
                )
            yield StoredPackage(manifest, path, file)

    def list(self) -> list[PackageManifest]:
        """Answer all packages, newest first; one whose manifest is damaged is told in the log."""
        found = []
        for name in os.listdir(self._packages) if self._packages.is_dir() else []:
            try:
                found.append(self._manifest(name))
            except DeploymentSenderError as exc:
                _log.warning("%s", exc.message)
        return sorted(found, key=lambda manifest: manifest.created_at, reverse=True)

    def remove(self, package_id: str) -> None:
        """Remove a package.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: there is no such package. `BUILD_FAILED`: the disk refuses.
        """
        self.path_of(package_id)
        self._staging.remove(package_id)

    def _manifest(self, package_id: str) -> PackageManifest:
        try:
            if str(uuid.UUID(package_id)) != package_id:
                raise ValueError(package_id)
            with open(_opened(self._packages / package_id / _MANIFEST), "rb", buffering=0) as file:
                manifest = PackageManifest.from_json(file.read(_MANIFEST_MAX_BYTES))
        except (OSError, ValueError) as exc:
            raise DeploymentSenderError(
                ErrorCode.VALIDATION_ERROR,
                f"there is no package {package_id!r}; `deployment-sender packages` lists those there are",
            ) from exc
        return manifest


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file")
    return descriptor

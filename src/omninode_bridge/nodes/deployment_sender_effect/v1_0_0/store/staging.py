"""Stage, then commit or abort: a final name means a finished entry.

An entry is a folder with one large file and small documents beside it. It is written as
`FOLDER/staging/ENTRY_ID/` and becomes `FOLDER/FINAL/ENTRY_ID/` by one rename. A lock (flock(2)) on that folder tells
that its owner lives; the kernel lets go of it when the owner dies, however it dies.
"""

import contextlib
import fcntl
import io
import logging
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import DeploymentSenderError, ErrorCode
from .disk import disk_errors

__all__ = ["Staged", "Staging"]

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
_FOLDER_MODE = 0o700  # an image may hold secrets
_FILE_MODE = 0o600
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_A_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _StagedFile(io.FileIO):
    """Writes all it is given, and tells a disk's refusal as our error."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, _NEW_FILE, _FILE_MODE), "wb")
        self.path = path

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Write all of `data`."""
        view = memoryview(data)
        with disk_errors("write", self.path):
            while len(view):
                view = view[super().write(view) :]
        return len(data)


class Staged:
    """An entry that is being written, owned by its maker until `commit` or `abort`.

    Attributes:
        entry_id: Its name.
        filename: The large file's name.
        file: That file, open for writing without a buffer; each write takes all it is given, or raises `BUILD_FAILED`.
    """

    def __init__(self, folder: Path, final: Path, filename: str, lock: int) -> None:
        self.entry_id = final.name
        self.filename = filename
        self._folder = folder
        self._final = final
        self._lock = lock
        self._open = True
        self._renamed = False
        self.file = _StagedFile(folder / filename)

    def commit(self, documents: Mapping[str, bytes]) -> Path:
        """Make the entry durable and give it its final name.

        A failed commit leaves nothing but `abort`: what a disk has once failed to make durable it may have dropped
        (fsync(2)), so nothing is tried twice on the same descriptor.

        Args:
            documents: Files to write beside the large one, by name.

        Returns:
            The large file's final path.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refused, or there is an entry of this name already.
        """
        with disk_errors("commit", self._final):
            os.fsync(self.file.fileno())
            self.file.close()
            for name, content in documents.items():
                with _StagedFile(self._folder / name) as document:
                    document.write(content)
                    os.fsync(document.fileno())
            os.fsync(self._lock)
            make_folder(self._final.parent)
            os.rename(self._folder, self._final)
            self._renamed = True
            sync_folder(self._final.parent)
            sync_folder(self._folder.parent)
        self._let_go()
        return self._final / self.filename

    def abort(self) -> None:
        """Remove everything; does nothing after a commit, and twice is safe."""
        if not self._open:
            return
        try:
            self.file.close()
            if self._renamed:
                os.rename(self._final, self._folder)
            shutil.rmtree(self._folder)
        except OSError as exc:
            _log.warning("%s could not be removed (%s); the next start does it", self._folder, exc)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._open = False
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class Staging:
    """Entries on their way into one folder; nothing is made on disk before the first `begin`.

    Args:
        folder: Holds `staging` and the final folder, which so are on one file system.
        final: The final folder's name.
    """

    def __init__(self, folder: Path, final: str = "packages") -> None:
        self.folder = folder
        self.final = folder / final
        self._staging = folder / "staging"
        self._swept = False
        self._guard = threading.Lock()

    def begin(self, entry_id: str, filename: str) -> Staged:
        """Start an entry.

        Args:
            entry_id: 1 to 128 letters, digits, dashes, underscores and dots, no dot first.
            filename: Of the large file; the same rule.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: a name breaks the rule. `BUILD_FAILED`: the disk refuses, or an
                entry of this name is being written.
        """
        for name in (entry_id, filename):
            if not _NAME.fullmatch(name):
                raise DeploymentSenderError(
                    ErrorCode.VALIDATION_ERROR, f"{name!r} is no name for an entry of the store"
                )
        with self._guard:
            if not self._swept:
                self.sweep()
                self._swept = True
        folder = self._staging / entry_id
        with disk_errors("stage", folder):
            make_folder(self._staging)
            with self._locked(fcntl.LOCK_SH):
                os.mkdir(folder, _FOLDER_MODE)
                lock = _own(folder)
            if lock is None:
                raise FileExistsError
            return Staged(folder, self.final / entry_id, filename, lock)

    def remove(self, entry_id: str) -> None:
        """Remove a committed entry; it is gone from its final name first, so that half an entry never shows."""
        folder = self._staging / f"{entry_id}.{secrets.token_hex(8)}"
        with disk_errors("remove", self.final / entry_id):
            make_folder(self._staging)
            with self._locked(fcntl.LOCK_SH):
                lock = _own(self.final / entry_id)
                os.rename(self.final / entry_id, folder)
            sync_folder(self.final)
            shutil.rmtree(folder)
            if lock is not None:
                os.close(lock)

    def sweep(self) -> list[str]:
        """Remove what owners that died have left, never what a living one has; answer the names.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        swept: list[str] = []
        with disk_errors("sweep", self._staging), contextlib.suppress(FileNotFoundError), self._locked(fcntl.LOCK_EX):
            for folder in self._staging.iterdir():
                lock = _own(folder) if folder.is_dir() and not folder.is_symlink() else None
                if lock is not None:
                    shutil.rmtree(folder)
                    os.close(lock)
                    swept.append(folder.name)
        return swept

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        lock = os.open(self._staging, _A_FOLDER)
        try:
            fcntl.flock(lock, how)
            yield
        finally:
            os.close(lock)


def _own(folder: Path) -> int | None:
    lock = os.open(folder, _A_FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, _A_FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each durably, readable for this user only."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, _FOLDER_MODE)
    sync_folder(folder.parent)

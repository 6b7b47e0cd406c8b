"""Stage, then commit or abort: a final name means a finished entry.

An entry is a folder with one large file and small documents beside it. It is written as
`FOLDER/staging/ENTRY_ID/` and becomes `FOLDER/FINAL/ENTRY_ID/` by one rename. Its owner holds a lock (flock(2)) on that
folder; the kernel releases the lock when the owner's process ends, even if it is killed.
"""

import fcntl
import io
import logging
import os
import re
import secrets
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ..errors import InvalidInputError
from ..folders import FOLDER_FLAGS, grant, locked, make_folder, make_private, sync_folder, sync_upwards
from .files import disk_errors

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["Staged", "Staging", "make_folder", "sync_folder"]

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
_FILE_MODE = 0o600  # an image may hold secrets
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# 16 MiB: the disk starts to write each time this much has been staged, so that the fsync at the end has little to do.
_WRITEBACK_BYTES = 16 << 20


class Staged:
    """An entry that is being written, until `commit` or `abort`.

    As a context manager it aborts at the end, unless it was committed.

    Attributes:
        entry_id: Its name.
        filename: Of the large file.
        file: The large file, open for writing without a buffer; a write stores all bytes, or raises `StorageError`.
        path: Of the large file until `commit`.
    """

    def __init__(self, folder: Path, final: Path, filename: str, lock: int) -> None:
        self.entry_id = final.name
        self.filename = filename
        self.path = folder / filename
        self.file: io.FileIO = _StagedFile(self.path)
        self._folder = folder
        self._final = final
        self._lock = lock
        self._open = True
        self._renamed = False

    def commit(self, documents: Mapping[str, bytes]) -> Path:
        """Make the entry durable and give it its final name.

        After a commit that failed, only `abort` is possible: the disk may have dropped what it could not make durable
        (fsync(2)), so no step is repeated.

        Args:
            documents: Files to write beside the large one, by name.

        Returns:
            The large file's final path.

        Raises:
            StorageError: The disk refused, or an entry of this name exists.
        """
        with disk_errors("keep", self._final):
            with self.file:
                os.fsync(self.file.fileno())
            for name, content in documents.items():
                with _StagedFile(self._folder / name) as document:
                    document.write(content)
                    os.fsync(document.fileno())
            os.fsync(self._lock)
            make_folder(self._final.parent)
            self._folder.rename(self._final)
            self._renamed = True
            sync_folder(self._final.parent)
            sync_folder(self._folder.parent)
        self._release_lock()
        return self._final / self.filename

    def abort(self) -> None:
        """Remove the entry; does nothing after a commit or a first abort."""
        if not self._open:
            return
        try:
            self.file.close()
            if self._renamed:
                self._final.rename(self._folder)
            shutil.rmtree(self._folder)
        except OSError as exc:
            _log.warning("cannot remove %s now; the next start removes it: %s", self._folder, exc)
        finally:
            self._release_lock()

    def _release_lock(self) -> None:
        self._open = False
        try:
            os.close(self._lock)
        except OSError as exc:  # the descriptor is closed nevertheless (close(2)), and the commit or abort is valid
            _log.warning("closing the lock of %s failed: %s", self._final, exc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class Staging:
    """Writes entries of one folder; nothing is made on the disk before the first `begin`.

    Args:
        folder: Holds `staging` and the final folder, so that a rename between them is on one file system.
        final: The final folder's name.

    Attributes:
        final: The final folder.
    """

    def __init__(self, folder: Path, final: str = "packages") -> None:
        self.final = folder / final
        self._staging = folder / "staging"
        self._swept = False
        self._guard = threading.Lock()

    def begin(self, entry_id: str, filename: str) -> Staged:
        """Start an entry; the first call also sweeps.

        Args:
            entry_id: 1 to 128 letters, digits, dashes, underscores and dots, the first not a dot.
            filename: Of the large file, by the same rule.

        Raises:
            InvalidInputError: A name breaks the rule.
            StorageError: The disk refuses, or an entry of this name is being written.
        """
        for name in (entry_id, filename):
            if not _NAME.fullmatch(name):
                raise InvalidInputError(f"{name[:128]!r} is not a valid name of an entry")
        folder = self._staging / entry_id
        with self._guard:
            if not self._swept:
                with disk_errors("begin", folder):
                    sync_upwards(self._staging)
                self.sweep()
                self._swept = True
        with disk_errors("begin", folder):
            make_folder(self._staging)
            lock = self._make_locked(folder)
        try:
            with disk_errors("begin", folder):
                return Staged(folder, self.final / entry_id, filename, lock)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            raise

    def remove(self, entry_id: str) -> None:
        """Remove a committed entry: its final name first, so that half an entry is never visible.

        Raises:
            StorageError: There is no such entry, or the disk refuses.
        """
        entry, folder = self.final / entry_id, self._staging / f"{entry_id}.{secrets.token_hex(8)}"
        with disk_errors("remove", entry):
            make_folder(self._staging)
            with locked(entry, fcntl.LOCK_EX):
                entry.rename(folder)
                sync_folder(self.final)
                shutil.rmtree(folder)

    def sweep(self) -> list[str]:
        """Remove the entries of processes that ended without a commit; return their names.

        Raises:
            StorageError: The disk refuses.
        """
        with disk_errors("sweep", self._staging):
            if not self._staging.is_dir():
                return []
            # While this lock is held, no entry is made but not yet locked (`_make_locked`).
            with locked(self._staging, fcntl.LOCK_EX):
                return [folder.name for folder in self._staging.iterdir() if _sweep(folder)]

    def _make_locked(self, folder: Path) -> int:
        with locked(self._staging, fcntl.LOCK_SH):
            make_private(folder)
            try:
                lock = os.open(folder, FOLDER_FLAGS)
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError:
                folder.rmdir()
                raise
        return lock


class _StagedFile(io.FileIO):
    """A file whose writes store all bytes, or raise `StorageError`."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, _NEW_FILE, _FILE_MODE), "wb")
        try:
            grant(self.fileno(), _FILE_MODE)
        except OSError:
            self.close()
            raise
        self._path = path
        self._written = self._written_back = 0

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        with disk_errors("write", self._path):
            while view:
                view = view[super().write(view) :]
            self._written += size
            if self._written - self._written_back >= _WRITEBACK_BYTES:
                self._write_back()
        return size

    def _write_back(self) -> None:
        """Let the disk start to write: the fsync at the end then takes 0.01 s instead of 0.3 s for 1 GB."""
        if hasattr(os, "posix_fadvise"):
            # With this advice Linux starts to write dirty pages, and keeps them cached (mm/fadvise.c).
            os.posix_fadvise(
                self.fileno(), self._written_back, self._written - self._written_back, os.POSIX_FADV_DONTNEED
            )
        self._written_back = self._written


def _sweep(folder: Path) -> bool:
    try:
        with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(folder)
    except (BlockingIOError, FileNotFoundError):
        return False  # its owner is alive, or has just finished
    except OSError as exc:
        _log.warning("cannot remove %s, which was abandoned: %s", folder, exc)
        return False
    return True

"""Stage, then commit or abort: a final name means a finished entry.

An entry is a folder with one large file and small documents beside it. It is written as
`FOLDER/staging/ENTRY_ID/` and becomes `FOLDER/FINAL/ENTRY_ID/` by one rename. A lock (flock(2)) on that folder tells
that its owner lives; the kernel lets go of it when the owner dies, however it dies.
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
from typing import Self

from ..errors import DeploymentSenderError, ErrorCode
from ..folders import A_FOLDER, grant, locked, make_folder, make_private, sync_folder, sync_upwards
from .files import disk_errors

__all__ = ["Staged", "Staging", "make_folder", "sync_folder"]

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", re.ASCII)
_FILE_MODE = 0o600  # an image may hold secrets
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The disk is told to begin writing whenever so much has come.
_WRITEBACK_BYTES = 16 << 20


class Staged:
    """An entry that is being written, owned by its maker until `commit` or `abort`.

    As a context manager it aborts at the end, unless it was committed.

    Attributes:
        entry_id: Its name.
        filename: The large file's name.
        file: That file, open for writing without a buffer; a write takes all it is given, or raises `BUILD_FAILED`.
        path: Where that file is until `commit`.
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

        After a commit that failed there is only `abort`: what a disk could not make durable once it may have dropped
        (fsync(2)), so nothing is tried twice.

        Args:
            documents: Files to write beside the large one, by name.

        Returns:
            The large file's final path.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refused, or there is an entry of this name already.
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
        self._let_go()
        return self._final / self.filename

    def abort(self) -> None:
        """Remove everything; does nothing after a commit, and twice is safe."""
        if not self._open:
            return
        try:
            self.file.close()
            if self._renamed:
                self._final.rename(self._folder)
            shutil.rmtree(self._folder)
        except OSError as exc:
            _log.warning("%s could not be removed, and will be by the next start: %s", self._folder, exc)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._open = False
        try:
            os.close(self._lock)
        except OSError as exc:  # it is closed all the same (close(2)), and what was decided stays
            _log.warning("the lock of %s was not closed well: %s", self._final, exc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class Staging:
    """Entries on their way into one folder; nothing is made on the disk before the first `begin`.

    Args:
        folder: Holds `staging` and the final folder, so that both are on one file system.
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
        """Start an entry; the first time, sweep.

        Args:
            entry_id: 1 to 128 letters, digits, dashes, underscores and dots, no dot first.
            filename: Of the large file, by the same rule.

        Raises:
            DeploymentSenderError: `VALIDATION_ERROR`: a name breaks the rule. `BUILD_FAILED`: the disk refuses, or an
                entry of this name is being written.
        """
        for name in (entry_id, filename):
            if not _NAME.fullmatch(name):
                raise DeploymentSenderError(ErrorCode.VALIDATION_ERROR, f"{name[:128]!r} is no name for the store")
        folder = self._staging / entry_id
        with self._guard:
            if not self._swept:
                with disk_errors("begin", folder):
                    sync_upwards(self._staging)
                self.sweep()
                self._swept = True
        with disk_errors("begin", folder):
            make_folder(self._staging)
            lock = self._make_own(folder)
        try:
            with disk_errors("begin", folder):
                return Staged(folder, self.final / entry_id, filename, lock)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
            raise

    def remove(self, entry_id: str) -> None:
        """Remove a committed entry: its final name goes first, so that half an entry never shows.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: there is no such entry, or the disk refuses.
        """
        entry, folder = self.final / entry_id, self._staging / f"{entry_id}.{secrets.token_hex(8)}"
        with disk_errors("remove", entry):
            make_folder(self._staging)
            with locked(entry, fcntl.LOCK_EX):
                entry.rename(folder)
                sync_folder(self.final)
                shutil.rmtree(folder)

    def sweep(self) -> list[str]:
        """Remove what owners that died have left, never what a living one has; answer the names.

        Raises:
            DeploymentSenderError: `BUILD_FAILED`: the disk refuses.
        """
        with disk_errors("sweep", self._staging):
            if not self._staging.is_dir():
                return []
            # No entry is between its making and its lock while this lock is held.
            with locked(self._staging, fcntl.LOCK_EX):
                return [folder.name for folder in self._staging.iterdir() if _swept(folder)]

    def _make_own(self, folder: Path) -> int:
        with locked(self._staging, fcntl.LOCK_SH):
            make_private(folder)
            try:
                lock = os.open(folder, A_FOLDER)
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError:
                folder.rmdir()
                raise
        return lock


class _StagedFile(io.FileIO):
    """Writes all it is given, and tells a disk's refusal as our error."""

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, _NEW_FILE, _FILE_MODE), "wb")
        try:
            grant(self.fileno(), _FILE_MODE)
        except OSError:
            self.close()
            raise
        self._path = path
        self._written = self._written_back = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]  # narrower than a buffer
        view = memoryview(data)
        with disk_errors("write", self._path):
            while view:
                view = view[super().write(view) :]
            self._written += len(data)
            if self._written - self._written_back >= _WRITEBACK_BYTES:
                self._write_back()
        return len(data)

    def _write_back(self) -> None:
        """Have the disk begin, so that the fsync at the end finds little left to do: 0.01 s instead of 0.3 for 1 GB."""
        if hasattr(os, "posix_fadvise"):
            # Linux starts to write dirty pages when told that they are not needed, and keeps those (mm/fadvise.c).
            os.posix_fadvise(
                self.fileno(), self._written_back, self._written - self._written_back, os.POSIX_FADV_DONTNEED
            )
        self._written_back = self._written


def _swept(folder: Path) -> bool:
    try:
        with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(folder)
    except (BlockingIOError, FileNotFoundError):
        return False  # its owner lives, or has just finished
    except OSError as exc:
        _log.warning("%s is left over and cannot be removed: %s", folder, exc)
        return False
    return True

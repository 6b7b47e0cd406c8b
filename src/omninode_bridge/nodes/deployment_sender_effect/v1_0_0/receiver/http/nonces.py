"""The nonces of requests, remembered so that no signed request is accepted twice, whatever the clock does.

A nonce is forgotten only when its signature is stale by the present clock *and* many newer ones have come since. By the
clock alone, one that jumps ahead and back again would forget nonces whose signatures are then fresh once more. The
latest time among the forgotten ones is remembered, and requests signed up to then are refused, so no request is
accepted twice.
"""

import errno
import logging
import os
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from ...protocol.signature import ALLOWED_CLOCK_SKEW_SECONDS, Credentials
from ...store.documents import private_file
from ...store.files import disk_errors
from ...store.staging import sync_folder
from ..limits import NONCES_KEPT, NONCES_MAX
from .errors import RefusedError

__all__ = ["NonceFile", "NonceMemory"]

_log = logging.getLogger(__name__)

_NEVER = -1
_PRIMARY = 0xFF  # the bits of a primary result code in an extended one (sqlite.org/rescode.html)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT}
_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}
_TABLES = """
    CREATE TABLE IF NOT EXISTS nonces (key_id TEXT, nonce TEXT, time INTEGER, PRIMARY KEY (key_id, nonce));
    CREATE TABLE IF NOT EXISTS forgotten (time INTEGER);
"""


class NonceMemory:
    """The nonces of GET requests, in memory: they change nothing, so they need not outlive a restart.

    Args:
        kept: How many are remembered at least.
        most: How many are remembered at most, when all are fresh.
    """

    def __init__(self, kept: int = NONCES_KEPT, most: int = NONCES_MAX) -> None:
        self._kept = kept
        self._most = most
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._forgotten = _NEVER

    def add(self, credentials: Credentials, *, now: int) -> bool:
        """Remember a nonce; return whether it is new.

        Args:
            credentials: Verified.
            now: Unix seconds.

        Raises:
            RefusedError: 503: it may have been seen and forgotten, or there are too many at once.
        """
        _check_later(credentials, self._forgotten)
        key = credentials.key_id, credentials.nonce
        if key in self._seen:
            return False
        self._forget(now)
        if len(self._seen) >= self._most:
            raise _refusal(
                f"{self._most} requests were signed within the last minutes, the most that the receiver remembers"
            )
        self._seen[key] = credentials.time
        return True

    def _forget(self, now: int) -> None:
        while len(self._seen) >= self._kept:
            oldest = next(iter(self._seen.values()))
            if not _is_stale(oldest, now):
                return
            self._seen.popitem(last=False)
            self._forgotten = max(self._forgotten, oldest)


class NonceFile:
    """The nonces of uploads, in a file, so that neither a restart nor a power cut forgets one.

    A damaged file is kept under another name and a new one is made, which refuses everything that was signed up to that
    moment. Blocks: call it in a thread.

    Args:
        path: The SQLite file.
        kept: How many are remembered at least.
        clock: Unix seconds.

    Raises:
        StorageError: Here and from `add`: the file cannot be read or written.
    """

    def __init__(self, path: Path, kept: int = NONCES_KEPT, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._kept = kept
        self._clock = clock
        self._lock = threading.Lock()
        with _sqlite_errors(path):
            self._open()

    def add(self, credentials: Credentials, *, now: int) -> bool:
        """Write a nonce to the disk; return whether it is new.

        Args:
            credentials: Verified.
            now: Unix seconds.

        Raises:
            RefusedError: 503: it may have been seen and forgotten.
        """
        with self._lock, _sqlite_errors(self._path):
            try:
                return self._insert(credentials, now)
            except sqlite3.Error as exc:
                if not _is_damage(exc):
                    raise
                self._db.close()
                self._replace_damaged(exc)
                return self._insert(credentials, now)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _open(self) -> None:
        if not self._path.exists():
            self._make(_NEVER)
        try:
            self._connect()
        except sqlite3.Error as exc:
            if not _is_damage(exc):
                raise
            self._replace_damaged(exc)

    def _connect(self) -> None:
        _make_private(self._path)
        with ExitStack() as opened:
            db = opened.enter_context(closing(_connected(self._path)))
            db.execute("PRAGMA journal_mode = WAL")
            # In WAL mode only FULL survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
            db.execute("PRAGMA synchronous = FULL")
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise _Damaged(found)
            db.executescript(_TABLES)
            (self._forgotten,) = db.execute("SELECT coalesce(max(time), ?) FROM forgotten", (_NEVER,)).fetchone()
            (self._count,) = db.execute("SELECT count(*) FROM nonces").fetchone()
            self._db = db
            opened.pop_all()

    def _replace_damaged(self, damage: sqlite3.Error) -> None:
        now = int(self._clock())
        aside = _set_aside(self._path, now)
        self._make(now)
        self._connect()
        _log.warning(
            "%s is damaged (%s): it is kept as %s, and a new file was made. Uploads that were signed before now are"
            " refused, as they may have been seen before. Check the disk (`dmesg`); the damaged file may be removed.",
            *(self._path, damage, aside.name),
        )

    def _make(self, forgotten: int) -> None:
        """Make the file under another name first: a final name means a finished file, so an empty one is damaged."""
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.unlink(missing_ok=True)
        os.close(private_file(draft, os.O_CREAT | os.O_EXCL))
        with closing(_connected(draft)) as db:
            db.executescript(_TABLES)
            db.execute("INSERT INTO forgotten VALUES (?)", (forgotten,))
        draft.replace(self._path)
        sync_folder(self._path.parent)

    def _insert(self, credentials: Credentials, now: int) -> bool:
        _check_later(credentials, self._forgotten)
        row = credentials.key_id, credentials.nonce, credentials.time
        is_new = self._db.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)", row).rowcount == 1
        self._count += is_new
        if self._count > 2 * self._kept:  # not each time: it reads all of them
            self._forget(now)
        return is_new

    def _forget(self, now: int) -> None:
        # Row ids grow in the order of arrival.
        (last,) = self._db.execute(
            "SELECT rowid FROM nonces ORDER BY rowid DESC LIMIT 1 OFFSET ?", (self._kept,)
        ).fetchone()
        chosen = last, now - ALLOWED_CLOCK_SKEW_SECONDS
        found = self._db.execute("SELECT max(time), count(*) FROM nonces WHERE rowid <= ? AND time < ?", chosen)
        latest, count = found.fetchone()
        if not count:
            return
        # First the latest time is written, then the nonces are deleted: a kill in between forgets nothing.
        forgotten = max(latest, self._forgotten)
        self._db.execute("INSERT INTO forgotten VALUES (?)", (forgotten,))
        self._db.execute("DELETE FROM forgotten WHERE time < ?", (forgotten,))
        self._db.execute("DELETE FROM nonces WHERE rowid <= ? AND time < ?", chosen)
        self._forgotten = forgotten
        self._count -= count


class _Damaged(sqlite3.DatabaseError):
    """Damage that `quick_check` found."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _make_private(path: Path) -> None:
    """Make the file readable by this user only; SQLite gives its journal files the same mode (findCreateFileMode)."""
    descriptor = private_file(path)
    try:
        if not os.fstat(descriptor).st_size:
            raise _Damaged("it is empty")
    finally:
        os.close(descriptor)


def _set_aside(path: Path, now: int) -> Path:
    """Rename a file and its journal; the journal first, as SQLite would apply it to a new file of the same name."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}")
    number = 0
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}-{now}")
    for ending in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED


def _is_stale(signed: int, now: int) -> bool:
    return signed < now - ALLOWED_CLOCK_SKEW_SECONDS


def _check_later(credentials: Credentials, forgotten: int) -> None:
    if credentials.time <= forgotten:
        raise _refusal(
            "the request may have been seen before: nonces of requests that were signed up to"
            f" {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(forgotten))} UTC are no longer remembered"
        )


def _refusal(message: str) -> RefusedError:
    return RefusedError(
        503,
        message,
        recovery="Transfer again in a moment; if it happens again, check that the clocks of both machines are right.",
        headers={"Retry-After": "1"},
    )


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    with disk_errors("use", path):
        try:
            yield
        except sqlite3.Error as exc:
            code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_IOERR) & _PRIMARY
            raise OSError(_ERRNO.get(code, errno.EIO), str(exc)) from exc

"""Who may ask: requests are signed with a shared key, fresh, and never seen before."""

import errno
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from pydantic import SecretStr
from starlette.requests import Request

from ..protocol.signature import (
    ALLOWED_CLOCK_SKEW_SECONDS,
    SCHEME,
    Credentials,
    SignatureError,
    SignedRequest,
    parse_authorization,
    verify,
)
from ..protocol.upload import UploadFields
from ..settings import split_signing_key
from ..store.disk import disk_errors
from .answers import RefusedError
from .workers import Workers

__all__ = ["Gate", "Nonces"]

_PORT = re.compile(r":[0-9]*\Z", re.ASCII)
_RECOVERY = (
    "Set DEPLOYMENT_SENDER_SIGNING_KEY to one of the receiver's DEPLOYMENT_RECEIVER_SIGNING_KEYS and let both clocks"
    " agree, then transfer again."
)


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    with disk_errors("use", path):
        try:
            yield
        except sqlite3.Error as exc:
            full = getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, str(exc)) from exc


class Nonces:
    """The nonces of the last minutes, in a file, so that a restart forgets none. Blocks: call it in a thread.

    Args:
        path: The SQLite file.

    Raises:
        DeploymentSenderError: `BUILD_FAILED`, here and from `take`: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with _sqlite_errors(path), ExitStack() as opened:
            self._db = opened.enter_context(
                closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS nonces (key_id TEXT, nonce TEXT, time INTEGER, PRIMARY KEY (key_id, nonce))"
            )
            opened.pop_all()

    def take(self, credentials: Credentials, *, now: int, durable: bool) -> bool:
        """Remember a nonce until its signature is stale; answer whether it is new.

        Args:
            credentials: Verified.
            now: Unix seconds.
            durable: Whether a power cut must not make it forget; costs an fsync.
        """
        with self._lock, _sqlite_errors(self._path):
            # In WAL mode only FULL survives a power cut (sqlite.org/pragma.html#pragma_synchronous).
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._db.execute("DELETE FROM nonces WHERE time < ?", (now - ALLOWED_CLOCK_SKEW_SECONDS,))
            row = (credentials.key_id, credentials.nonce, credentials.time)
            return self._db.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)", row).rowcount == 1

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class Gate:
    """Lets signed requests pass; every request if there are no keys.

    Args:
        keys: Each `ID:SECRET`.
        nonces: Remembers what was seen.
        workers: Threads.
        host_names: The receiver's own, in lower case, each with or without a port; any will do if empty.
        clock: Unix seconds.
    """

    def __init__(
        self,
        keys: Iterable[SecretStr],
        nonces: Nonces,
        workers: Workers,
        *,
        host_names: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._host_names = frozenset(host_names)
        self._keys = dict(split_signing_key(key.get_secret_value()) for key in keys)
        self._nonces = nonces
        self._workers = workers
        self._clock = clock

    @classmethod
    async def open(
        cls, keys: Iterable[SecretStr], path: Path, workers: Workers, *, host_names: Collection[str] = ()
    ) -> Self:
        """Open the nonces' file and the gate."""
        return cls(keys, await workers.run(Nonces, path), workers, host_names=host_names)

    async def admit_upload(self, request: Request, fields: UploadFields) -> int | None:
        """Check an upload before its file arrives.

        Returns:
            The size in bytes that the file must have; None if nothing is signed here.

        Raises:
            RefusedError: 401, or 403 for a web page where nothing is signed.
        """
        credentials = self._credentials(request)
        if credentials is None:
            return None
        signed = SignedRequest.for_upload(_host(request), _target(request), fields, credentials.size_bytes)
        await self._check(credentials, signed, durable=True)
        return credentials.size_bytes

    async def admit_get(self, request: Request) -> None:
        """Check a `GET`.

        Raises:
            RefusedError: 401, or 403 for a web page where nothing is signed.
        """
        credentials = self._credentials(request)
        if credentials is not None:
            await self._check(credentials, SignedRequest.for_get(_host(request), _target(request)), durable=False)

    async def close(self) -> None:
        """Close the nonces' file."""
        await self._workers.run(self._nonces.close)

    def _credentials(self, request: Request) -> Credentials | None:
        if not self._keys:
            _must_not_come_from_a_page(request)
            return None
        try:
            return parse_authorization(request.headers.get("Authorization", ""))
        except SignatureError as exc:
            raise _refusal(str(exc)) from exc

    async def _check(self, credentials: Credentials, signed: SignedRequest, *, durable: bool) -> None:
        secret = self._keys.get(credentials.key_id)
        if secret is None:
            raise _refusal(f"the receiver has no key {credentials.key_id!r}")
        now = int(self._clock())
        try:
            verify(credentials, secret, signed, now=now)
        except SignatureError as exc:
            raise _refusal(str(exc)) from exc
        if not self._is_own(signed.host):
            raise RefusedError(
                401,
                f"the request was signed for {signed.host}, and this receiver goes by other names",
                recovery="Send to one of the receiver's host_names, or add this one to them.",
                headers={"WWW-Authenticate": SCHEME},
            )
        if not await self._workers.run(self._nonces.take, credentials, now=now, durable=durable):
            raise _refusal("the request was seen before: each is signed anew, with a nonce of its own")

    def _is_own(self, host: str) -> bool:
        return not self._host_names or not self._host_names.isdisjoint({host, _PORT.sub("", host)})


def _must_not_come_from_a_page(request: Request) -> None:
    """Refuse what a browser says that a page asked for (RFC 6454 section 7.3): loopback is open to every page."""
    if "Origin" in request.headers:
        raise RefusedError(
            403, "a web page cannot use a receiver that has no key", recovery="Give the receiver a signing key."
        )


def _refusal(message: str) -> RefusedError:
    return RefusedError(401, message, recovery=_RECOVERY, headers={"WWW-Authenticate": SCHEME})


def _host(request: Request) -> str:
    return request.headers.get("Host", "")


def _target(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")

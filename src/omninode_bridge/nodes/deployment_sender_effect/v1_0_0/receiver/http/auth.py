"""Authenticates requests: each is signed with a shared key, fresh, and never seen before."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from pydantic import SecretStr
from starlette.requests import Request

from ...concurrency import ThreadPool
from ...protocol.form import UploadFields
from ...protocol.hosts import parse_host
from ...protocol.signature import SCHEME, Credentials, SignatureError, SignedRequest, parse_authorization, verify
from ...settings import split_signing_key
from .errors import RefusedError
from .host_names import HostNames, Location
from .nonces import NonceFile, NonceMemory
from .request_guard import host_of

__all__ = ["RequestAuthenticator"]

_RECOVERY = (
    "Set DEPLOYMENT_SENDER_SIGNING_KEY to one of the receiver's DEPLOYMENT_RECEIVER_SIGNING_KEYS and set both clocks"
    " right, then transfer again. Behind a proxy that changes the Host or the path the receiver needs --public-url."
)
_SHOWN_MAX_CHARACTERS = 200  # of the host and path that a client sent, so that a message stays readable


class RequestAuthenticator:
    """Refuses requests that are not signed as they must be; accepts every request if there are no keys.

    Args:
        keys: Each `ID:SECRET`.
        nonces: The nonces of uploads.
        workers: Threads.
        names: The receiver's host names.
        clock: Unix seconds.
    """

    def __init__(
        self,
        keys: Iterable[SecretStr],
        nonces: NonceFile,
        workers: ThreadPool,
        *,
        names: HostNames | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._names = names or HostNames()
        self._keys = dict(split_signing_key(key.get_secret_value()) for key in keys)
        self._upload_nonces = nonces
        self._get_nonces = NonceMemory()
        self._workers = workers
        self._clock = clock

    @classmethod
    async def open(
        cls, keys: Iterable[SecretStr], path: Path, workers: ThreadPool, *, names: HostNames | None = None
    ) -> Self:
        """Open the file of nonces, and return an authenticator that uses it."""
        return cls(keys, await workers.run(NonceFile, path), workers, names=names)

    def check_header(self, request: Request) -> Credentials | None:
        """Check that the request has a signature by a known key, which is not verified yet.

        Returns:
            The parsed `Authorization` header; None if there are no keys.

        Raises:
            RefusedError: 401: there is no such signature.
        """
        if not self._keys:
            return None
        try:
            credentials = parse_authorization(request.headers.get("Authorization", ""))
        except SignatureError as exc:
            raise _refusal(str(exc)) from exc
        if credentials.key_id not in self._keys:
            raise _refusal(f"the receiver has no key {credentials.key_id!r}")
        return credentials

    async def authenticate_upload(self, request: Request, fields: UploadFields) -> int | None:
        """Check an upload before its file arrives.

        Returns:
            The size in bytes that was signed, which the file must have; None if there are no keys.

        Raises:
            RefusedError: 401: the signature is not valid; 503: the request may have been seen before.
            StorageError: The nonce cannot be written to the disk.
        """
        credentials = self.check_header(request)
        if credentials is None:
            return None
        now, size = int(self._clock()), credentials.size_bytes
        locations = self._locations(request)
        self._verify(credentials, [SignedRequest.for_upload(*one, fields, size) for one in locations], now)
        _check_new(await self._workers.run(self._upload_nonces.add, credentials, now=now))
        return size

    async def authenticate_get(self, request: Request) -> None:
        """Check a request without a body: a `GET`, or a `HEAD` that was signed as one. Uses no disk.

        Raises:
            RefusedError: 401: the signature is not valid; 503: the request may have been seen before.
        """
        credentials = self.check_header(request)
        if credentials is None:
            return
        now = int(self._clock())
        locations = self._locations(request)
        self._verify(credentials, [SignedRequest.for_get(*one, request.method) for one in locations], now)
        _check_new(self._get_nonces.add(credentials, now=now))

    async def close(self) -> None:
        """Close the file of nonces."""
        await self._workers.run(self._upload_nonces.close)

    def _locations(self, request: Request) -> list[Location]:
        text = host_of(request.scope)
        return self._names.locations(self._names.parse(text) if text else None, _target(request))

    def _verify(self, credentials: Credentials, candidates: list[SignedRequest], now: int) -> None:
        secret = self._keys[credentials.key_id]
        failure: SignatureError | None = None
        for signed in candidates:
            try:
                verify(credentials, secret, signed, now=now)
            except SignatureError as exc:
                failure = failure or exc
                continue
            self._check_host(signed.host)
            return
        first = candidates[0]
        location = f"{first.host}{first.path}"[:_SHOWN_MAX_CHARACTERS]
        raise _refusal(f"{failure} (checked as {first.method} {location})") from failure

    def _check_host(self, host: str) -> None:
        if not self._names.accepts_all and not (host and self._names.is_own(parse_host(host))):
            raise RefusedError(
                401,
                f"the request was signed for {host or 'no host'}; this receiver accepts only {self._names}",
                recovery="Send to one of these host names, or add this one to the receiver's host_names.",
                headers={"WWW-Authenticate": SCHEME},
            )


def _check_new(is_new: bool) -> None:
    if not is_new:
        raise _refusal("the request was seen before: each request needs a new signature with a new nonce")


def _refusal(message: str) -> RefusedError:
    return RefusedError(401, message, recovery=_RECOVERY, headers={"WWW-Authenticate": SCHEME})


def _target(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")

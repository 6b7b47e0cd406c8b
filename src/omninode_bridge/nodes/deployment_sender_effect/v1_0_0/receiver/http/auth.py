"""Who may ask: requests are signed with a shared key, fresh, and never seen before."""

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
from .doorway import host_of
from .errors import RefusedError
from .host_names import HostNames, Place
from .nonces import NonceFile, NonceMemory

__all__ = ["RequestAuthenticator"]

_RECOVERY = (
    "Set DEPLOYMENT_SENDER_SIGNING_KEY to one of the receiver's DEPLOYMENT_RECEIVER_SIGNING_KEYS and let both clocks"
    " agree, then transfer again. Behind a proxy that changes the Host or the path the receiver needs --public-url."
)
_TOLD_MAX_CHARACTERS = 200


class RequestAuthenticator:
    """Lets signed requests pass; every request if there are no keys.

    Args:
        keys: Each `ID:SECRET`.
        nonces: Remembers which uploads were seen.
        workers: Threads.
        names: The receiver's own.
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
        self._uploads = nonces
        self._questions = NonceMemory()
        self._workers = workers
        self._clock = clock

    @classmethod
    async def open(
        cls, keys: Iterable[SecretStr], path: Path, workers: ThreadPool, *, names: HostNames | None = None
    ) -> Self:
        """Open the nonces' file and the gate."""
        return cls(keys, await workers.run(NonceFile, path), workers, names=names)

    def check_header(self, request: Request) -> Credentials | None:
        """Refuse at once what cannot be signed by anybody who has a key; answer what it says of itself.

        Returns:
            None if nothing is signed here.

        Raises:
            RefusedError: 401.
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

    async def admit_upload(self, request: Request, fields: UploadFields) -> int | None:
        """Check an upload before its file arrives.

        Returns:
            The size in bytes that the file must have; None if nothing is signed here.

        Raises:
            RefusedError: 401, or 503 for what may have been seen.
            DeploymentSenderError: `BUILD_FAILED`: that it was seen cannot be written.
        """
        credentials = self.check_header(request)
        if credentials is None:
            return None
        now, size = int(self._clock()), credentials.size_bytes
        places = self._places(request)
        self._verify(credentials, [SignedRequest.for_upload(*place, fields, size) for place in places], now)
        _must_be_new(await self._workers.run(self._uploads.take, credentials, now=now))
        return size

    async def admit_get(self, request: Request) -> None:
        """Check a request without a body: a `GET`, or a `HEAD` that was signed as one. Needs no disk.

        Raises:
            RefusedError: 401, or 503 for what may have been seen.
        """
        credentials = self.check_header(request)
        if credentials is None:
            return
        now = int(self._clock())
        places = self._places(request)
        self._verify(credentials, [SignedRequest.for_get(*place, request.method) for place in places], now)
        _must_be_new(self._questions.take(credentials, now=now))

    async def close(self) -> None:
        """Close the nonces' file."""
        await self._workers.run(self._uploads.close)

    def _places(self, request: Request) -> list[Place]:
        text = host_of(request.scope)
        return self._names.places(self._names.parse(text) if text else None, _target(request))

    def _verify(self, credentials: Credentials, described: list[SignedRequest], now: int) -> None:
        secret = self._keys[credentials.key_id]
        failure: SignatureError | None = None
        for signed in described:
            try:
                verify(credentials, secret, signed, now=now)
            except SignatureError as exc:
                failure = failure or exc
                continue
            self._must_be_for_us(signed.host)
            return
        first = described[0]
        place = f"{first.host}{first.path}"[:_TOLD_MAX_CHARACTERS]
        raise _refusal(f"{failure} (checked as {first.method} {place})") from failure

    def _must_be_for_us(self, host: str) -> None:
        if not self._names.is_anybody() and not (host and self._names.is_own(parse_host(host))):
            raise RefusedError(
                401,
                f"the request was signed for {host or 'no host'}, and this receiver goes by other names",
                recovery="Send to one of the receiver's host_names, or add this one to them.",
                headers={"WWW-Authenticate": SCHEME},
            )


def _must_be_new(is_new: bool) -> None:
    if not is_new:
        raise _refusal("the request was seen before: each is signed anew, with a nonce of its own")


def _refusal(message: str) -> RefusedError:
    return RefusedError(401, message, recovery=_RECOVERY, headers={"WWW-Authenticate": SCHEME})


def _target(request: Request) -> str:
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")

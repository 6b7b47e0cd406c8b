"""Stands before every route: whom a request is for, and that no web page of another site has sent it."""

from collections.abc import Mapping
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import ErrorCode
from .errors import RefusedError
from .host_names import HostNames
from .request_body import RequestBody
from .responses import error_response

__all__ = ["Doorway", "host_of"]

# What a browser says of a request that no page made, or one of the very origin (w3.org/TR/fetch-metadata, section 2.3).
# Another port of one host is `same-site`, and so may be somebody else's.
_OWN_SITES = {"none", "same-origin"}


class Doorway:
    """Passes on what is well addressed, with its path as the routes know it.

    Args:
        app: The routes.
        names: The receiver's own.
        has_keys: Whether requests are signed; without a signature the `Host` is all that tells a web page whose name
            leads here (DNS rebinding) from a sender.
        idle_timeout_seconds: For the next bytes of a body that is refused.
    """

    def __init__(self, app: ASGIApp, names: HostNames, *, has_keys: bool, idle_timeout_seconds: float) -> None:
        self._app = app
        self._names = names
        self._has_keys = has_keys
        self._idle_timeout_seconds = idle_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        try:
            self._check(scope)
        except RefusedError as refused:
            answer = error_response(refused).early(RequestBody(receive, self._idle_timeout_seconds))
            await answer(scope, receive, send)
            return
        await self._app(self._without_prefix(scope), receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _must_not_come_from_a_page(headers)
        text = _host_header(scope, headers)
        if text is None:
            return  # no browser leaves it out
        try:
            host = self._names.parse(text)
        except ValueError as exc:
            raise _wrong(f"the Host header cannot be read: {exc}") from exc
        if not (self._has_keys or host.is_loopback or self._names.is_own(host)):
            raise RefusedError(
                403,
                f"this receiver has no key, and {host} is none of its names",
                recovery=f"Send to http://localhost or http://127.0.0.1, or start it with a key or --host-name {host}.",
            )

    def _without_prefix(self, scope: Scope) -> Scope:
        """Leave out the public path's beginning, which some proxies do and some do not."""
        prefix = self._names.prefix
        raw: bytes = scope["raw_path"]
        if not prefix or not raw.startswith(f"{prefix}/".encode()):
            return scope
        return {**scope, "raw_path": raw[len(prefix) :], "path": scope["path"][len(unquote(prefix)) :]}


def host_of(scope: Scope) -> str:
    """Answer the `Host` header of a request that came in; empty if it has none."""
    return Headers(scope=scope).get("Host", "")


def _host_header(scope: Scope, headers: Headers) -> str | None:
    found = headers.getlist("Host")
    if len(found) > 1 or (not found and scope["http_version"] != "1.0"):
        raise _wrong("a request has one Host header (RFC 9112 section 3.2)")
    return found[0] if found else None


def _must_not_come_from_a_page(headers: Mapping[str, str]) -> None:
    """Refuse what a browser says that a page of another origin asked for: loopback is open to each of them.

    Browsers send `Origin` with all but a plain GET (RFC 6454 section 7.3), and `Sec-Fetch-Site` with everything.
    """
    if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
        raise RefusedError(
            403, "a web page cannot use a receiver", recovery="Send with deployment-sender, curl or a program."
        )


def _wrong(message: str) -> RefusedError:
    return RefusedError(400, message, code=ErrorCode.VALIDATION_ERROR, recovery="Send the Host of the receiver's URL.")

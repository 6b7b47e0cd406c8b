"""Checks every request before its route runs: its protocol version, its Host, and that no web page sent it."""

import re
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import ErrorCode
from ...protocol.version import PROTOCOL_HEADER, SUPPORTED_VERSIONS
from .errors import RefusedError
from .host_names import HostNames
from .request_body import RequestBody
from .responses import error_response

__all__ = ["RequestGuard", "host_of"]

# `Sec-Fetch-Site` of a request that a person typed in, or that a page of the same origin sent
# (w3.org/TR/fetch-metadata, section 2.3). Another port of the same host is `same-site`: it may be another user's page.
_ALLOWED_FETCH_SITES = {"none", "same-origin"}

_VERSION = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_SUPPORTED = " and ".join(map(str, SUPPORTED_VERSIONS))


class RequestGuard:
    """Refuses requests that no route may see, and passes the others on with the path that the routes know.

    Args:
        app: The routes.
        names: The receiver's host names.
        has_keys: Whether requests are signed. Without signatures the `Host` alone distinguishes a sender from a web
            page whose host name resolves to this machine (DNS rebinding).
        idle_timeout_seconds: How long to wait for the next bytes of the body of a refused request.
    """

    def __init__(self, app: ASGIApp, names: HostNames, *, has_keys: bool, idle_timeout_seconds: float) -> None:
        self._app = app
        self._names = names
        self._has_keys = has_keys
        self._idle_timeout_seconds = idle_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        try:
            self._check(scope)
        except RefusedError as refused:
            body = RequestBody(receive, self._idle_timeout_seconds)
            await error_response(refused).before_body(body)(scope, receive, send)
            return
        await self._app(self._without_prefix(scope), receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _check_version(headers)
        _check_no_web_page(headers)
        self._check_host(_host_header(scope, headers))

    def _check_host(self, text: str | None) -> None:
        if text is None:
            return  # HTTP/1.0, which no browser speaks
        try:
            host = self._names.parse(text)
        except ValueError as exc:
            raise _bad_host(f"the Host header is not valid: {exc}") from exc
        if not (self._has_keys or host.is_loopback or self._names.is_own(host)):
            raise RefusedError(
                403,
                f"this receiver has no key, and {host} is not one of its host names",
                recovery=f"Send to http://localhost or http://127.0.0.1, or start it with a key or --host-name {host}.",
            )

    def _without_prefix(self, scope: Scope) -> Scope:
        """Remove the path of the public URL, which some proxies keep and some remove."""
        prefix = self._names.prefix
        raw: bytes = scope["raw_path"]
        if not prefix or not raw.startswith(f"{prefix}/".encode()):
            return scope
        return {**scope, "raw_path": raw[len(prefix) :], "path": scope["path"][len(unquote(prefix)) :]}


def host_of(scope: Scope) -> str:
    """Return the `Host` header of a request; empty if it has none."""
    return Headers(scope=scope).get("Host", "")


def _host_header(scope: Scope, headers: Headers) -> str | None:
    found = headers.getlist("Host")
    if len(found) > 1 or (not found and scope["http_version"] != "1.0"):
        raise _bad_host("a request has one Host header (RFC 9112 section 3.2)")
    return found[0] if found else None


def _check_version(headers: Headers) -> None:
    found = headers.getlist(PROTOCOL_HEADER)
    if not found:
        return  # version 1
    if len(found) > 1 or _VERSION.fullmatch(found[0]) is None:
        raise _bad_version(
            f"the {PROTOCOL_HEADER} header must be one whole number",
            f"Send {PROTOCOL_HEADER}: {SUPPORTED_VERSIONS[-1]}, or leave the header out, which means version 1.",
        )
    if int(found[0]) not in SUPPORTED_VERSIONS:
        raise _bad_version(
            f"the request is of protocol version {found[0]}; this receiver speaks {_SUPPORTED}",
            f"Update the receiver, or send with a release that speaks version {_SUPPORTED.replace('and', 'or')}.",
        )


def _check_no_web_page(headers: Headers) -> None:
    """Refuse requests that a browser sends for a page of another origin, which can reach every loopback port.

    Browsers send `Origin` with all but a plain GET (RFC 6454 section 7.3), and `Sec-Fetch-Site` with everything.
    """
    if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") not in _ALLOWED_FETCH_SITES:
        raise RefusedError(
            403, "a web page cannot use a receiver", recovery="Send with deployment-sender, curl or a program."
        )


def _bad_host(message: str) -> RefusedError:
    return RefusedError(
        400, message, code=ErrorCode.VALIDATION_ERROR, recovery="Send the host of the receiver's URL as Host."
    )


def _bad_version(message: str, recovery: str) -> RefusedError:
    return RefusedError(400, message, code=ErrorCode.VALIDATION_ERROR, recovery=recovery)

"""One HTTP exchange at a time over httpcore; its exceptions become ours here.

Connections are not kept: a handshake costs little beside a package, a kept connection may be dead when the next
package starts, and without a limit on connections a cancelled request cannot use up a slot of the pool.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import SplitResult, quote, urlsplit

import httpcore

from ...errors import ReceiverUnreachableError, TransferError
from ...protocol.hosts import normal_host
from .address_policy import AddressPolicy
from .network import ListeningBackend
from .response import ReceiverResponse

__all__ = ["HttpClient"]

_RESPONSE_MAX_BYTES = 1 << 16  # 64 KiB, the limit of docs/receiver-protocol.md
_TARGET_SAFE = "!$%&'()*+,-./:;=?@[]_~"  # RFC 3986 section 2; a percent sign begins an escape already
_TLS_RECOVERY = (
    "Use a certificate that is valid for the host in the URL; set DEPLOYMENT_SENDER_CA_FILE to its CA if that CA is"
    " private; check http against https; then transfer again."
)
_CLIENT_TLS_RECOVERY = (
    "Set DEPLOYMENT_SENDER_CLIENT_CERT and DEPLOYMENT_SENDER_CLIENT_KEY to a valid certificate of a CA in the"
    " receiver's tls_client_ca; then transfer again."
)
_BROKEN_RECOVERY = (
    "Check the network between both machines, that a receiver listens there, and that its URL says https if it uses"
    " TLS; then transfer again."
)
# RFC 8446 section 6.2, in OpenSSL's spelling: the other side refuses our certificate, or wants one.
_CERTIFICATE_REFUSED = re.compile(r"ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)")
_TIMEOUT_REASONS: dict[type[Exception], str] = {
    httpcore.ConnectTimeout: "it did not respond in time",
    httpcore.ReadTimeout: "it sent nothing for too long",
    httpcore.WriteTimeout: "it accepted no more bytes for too long",
}


class HttpClient:
    """Sends requests and reads responses; follows no redirect, keeps no cookie, reads nothing from the environment.

    Create it in a thread without an event loop: httpcore's modules take longer to load than a loop may wait.

    Args:
        connect_timeout_seconds: To resolve the name, to connect and for the TLS handshake, each.
        idle_timeout_seconds: Between two bytes, in either direction.
        context: For TLS.
        policy: Which addresses may be connected to.
        headers: Sent with each request.

    Attributes:
        policy: As given.
    """

    def __init__(
        self,
        connect_timeout_seconds: float,
        idle_timeout_seconds: float,
        context: ssl.SSLContext,
        policy: AddressPolicy,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        _load_asyncio_support()
        self.policy = policy
        self._timeouts = {
            "connect": connect_timeout_seconds,
            "read": idle_timeout_seconds,
            "write": idle_timeout_seconds,
        }
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "deployment-sender",
        } | dict(headers or {})
        self._closed = False
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=ListeningBackend(policy),
        )

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
        authorize: Callable[[str, str], str] | None = None,
    ) -> ReceiverResponse:
        """Send a request and read the response, also one that arrives before the body is sent.

        Args:
            method: `GET` or `POST`.
            url: http or https.
            headers: Further headers, with `Content-Length` if there is a body.
            body: Pieces of up to 1 MiB.
            authorize: Called with the `Host` header and the target as they are sent; returns the `Authorization`
                header.

        Raises:
            ReceiverUnreachableError: No connection, or none that both sides trust.
            TransferError: The connection broke, or this client was closed.
        """
        if self._closed:
            raise TransferError("the connection was closed on this side", retry=False)
        parts = _split(url)
        with _map_errors(parts.netloc):
            request = self._request(method, parts, dict(headers or {}), body, authorize)
            response = await self._pool.handle_async_request(request)
            try:
                content, complete = await _read_limited(response)
            finally:
                await response.aclose()
        return ReceiverResponse(response.status, _decoded(response.headers), content, complete)

    def _request(
        self,
        method: str,
        parts: SplitResult,
        headers: dict[str, str],
        body: AsyncIterator[bytes] | None,
        authorize: Callable[[str, str], str] | None,
    ) -> httpcore.Request:
        name = parts.hostname or ""
        host = normal_host(parts.netloc, parts.scheme)
        target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_TARGET_SAFE)
        if authorize is not None:
            headers["Authorization"] = authorize(host, target)
        extensions: dict[str, object] = {"timeout": self._timeouts}
        if name.endswith("."):  # the root's dot is for resolvers; certificates name hosts without it
            extensions["sni_hostname"] = name.removesuffix(".")
        return httpcore.Request(
            method,
            httpcore.URL(scheme=parts.scheme, host=name, port=parts.port, target=target),
            headers=list(({"Host": host} | self._headers | headers).items()),
            content=body,
            extensions=extensions,
        )

    async def close(self) -> None:
        """Close every connection; exchanges in progress fail. Closing twice is safe."""
        self._closed = True
        await self._pool.aclose()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.netloc.encode("ascii")
    except ValueError as exc:
        message = f"{url} is not an address that can be connected to: {exc}"
        raise ReceiverUnreachableError(message, retry=False) from exc
    return parts


def _load_asyncio_support() -> None:
    """Have httpcore import its support for asyncio now: 50 ms that would block the loop at the first request."""
    asyncio.run(httpcore.AsyncConnectionPool().aclose())


async def _read_limited(response: httpcore.Response) -> tuple[bytes, bool]:
    content = b""
    async for piece in response.aiter_stream():
        content += piece
        if len(content) > _RESPONSE_MAX_BYTES:
            return content[:_RESPONSE_MAX_BYTES], False
    return content, True


def _decoded(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers with names in lower case; values of one name are joined (RFC 9110 section 5.2)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


@contextmanager
def _map_errors(where: str) -> Iterator[None]:
    """Turn httpcore's exceptions into ours.

    Args:
        where: Host and port, for messages.
    """
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
        raise _unreachable(where, exc) from exc
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as exc:
        if _is_certificate_refused(exc):  # with TLS 1.3 the refusal arrives after the handshake
            raise _unreachable(where, exc) from exc
        message = f"the connection to {where} broke: {_reason(exc)}"
        raise TransferError(message, recovery=_BROKEN_RECOVERY, retry=True) from exc


def _unreachable(where: str, exc: Exception) -> ReceiverUnreachableError:
    message, cause = f"no connection to {where}: {_reason(exc)}", _cause(exc)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        recovery = _CLIENT_TLS_RECOVERY if _is_certificate_refused(exc) else _TLS_RECOVERY
        return ReceiverUnreachableError(message, recovery=recovery, retry=False)
    return ReceiverUnreachableError(message, retry=True)


def _is_certificate_refused(exc: Exception) -> bool:
    cause = _cause(exc)
    return isinstance(cause, ssl.SSLError) and _CERTIFICATE_REFUSED.search(cause.reason or "") is not None


def _cause(exc: Exception) -> object:
    """Return the exception behind one of httpcore's: its argument, as httpcore's pool drops the `__cause__`."""
    return exc.args[0] if exc.args else None


def _reason(exc: Exception) -> str:
    for kind, words in _TIMEOUT_REASONS.items():
        if isinstance(exc, kind):
            return words
    match _cause(exc):
        case ssl.SSLError() as failed:
            return _tls_reason(failed)
        case socket.gaierror() as unknown:
            return f"the name cannot be resolved ({unknown.strerror})"
        case OSError() as failed if failed.errno is not None:
            return os.strerror(failed.errno)
        case other:
            return str(other).rstrip(".")


def _tls_reason(failed: ssl.SSLError) -> str:
    if isinstance(failed, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({failed.verify_message})"
    if _CERTIFICATE_REFUSED.search(failed.reason or ""):
        return f"it does not accept this machine's certificate, or the lack of one ({failed.reason})"
    return f"TLS failed ({failed.reason})"

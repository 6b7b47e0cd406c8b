"""One HTTP exchange at a time over httpx; the exceptions of httpx and httpcore become ours here.

Connections are not kept: a handshake costs little beside a package, a kept connection may be dead when the next
package starts, and without a limit on connections a cancelled request cannot use up a slot of the pool.
"""

import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpcore
import httpx

from ...errors import ReceiverUnreachableError, TransferError
from ...protocol.hosts import normal_host
from .address_policy import AddressPolicy
from .response import ReceiverResponse
from .transport import PoolTransport

__all__ = ["HttpClient"]

_RESPONSE_MAX_BYTES = 1 << 16  # 64 KiB, the limit of docs/receiver-protocol.md
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "deployment-sender"}
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

    Create it in a thread without an event loop: what it loads takes longer than a loop may wait.

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
        self.policy = policy
        self._client = httpx.AsyncClient(
            transport=PoolTransport(context, policy),
            timeout=httpx.Timeout(idle_timeout_seconds, connect=connect_timeout_seconds),
            headers=_HEADERS | dict(headers or {}),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            follow_redirects=False,
            trust_env=False,
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
        if self._client.is_closed:
            raise TransferError("the connection was closed on this side", retry=False)
        with _map_errors(url):
            request = self._client.build_request(method, url, headers=headers, content=body)
            request.headers["Host"] = normal_host(request.headers["Host"], request.url.scheme)
            if request.url.host.endswith("."):  # the root's dot is for resolvers; certificates name hosts without it
                request.extensions["sni_hostname"] = request.url.host.removesuffix(".")
            if authorize is not None:
                target = request.url.raw_path.decode("ascii")
                request.headers["Authorization"] = authorize(request.headers["Host"], target)
            response = await self._client.send(request, stream=True)
            try:
                content, complete = await _read_limited(response)
            finally:
                await response.aclose()
        return ReceiverResponse(response.status_code, dict(response.headers), content, complete)

    async def close(self) -> None:
        """Close every connection; exchanges in progress fail. Closing twice is safe."""
        await self._client.aclose()


async def _read_limited(response: httpx.Response) -> tuple[bytes, bool]:
    content = b""
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > _RESPONSE_MAX_BYTES:
            return content[:_RESPONSE_MAX_BYTES], False
    return content, True


@contextmanager
def _map_errors(url: str) -> Iterator[None]:
    """Turn the exceptions of httpx and httpcore into ours."""
    where = _location(url)
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
        raise _unreachable(where, exc) from exc
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as exc:
        if _is_certificate_refused(exc):  # with TLS 1.3 the refusal arrives after the handshake
            raise _unreachable(where, exc) from exc
        message = f"the connection to {where} broke: {_reason(exc)}"
        raise TransferError(message, recovery=_BROKEN_RECOVERY, retry=True) from exc
    except httpx.InvalidURL as exc:
        message = f"{where} is not an address that can be connected to: {exc}"
        raise ReceiverUnreachableError(message, retry=False) from exc


def _location(url: str) -> str:
    """Return host and port of a URL; httpx accepts ports that no address has."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        message = f"{url} is not an address that can be connected to: {exc}"
        raise ReceiverUnreachableError(message, retry=False) from exc
    return parts.netloc


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

"""One HTTP exchange at a time over httpx, with its errors in our own words.

httpx and httpcore are known here and in `http_network` only. Connections are not kept: a package dwarfs a handshake,
a kept connection may be dead when the next package starts, and without a limit on connections there are no slots
of the pool that a cancelled request could lose.
"""

import asyncio
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

from ...errors import DeploymentSenderError, ErrorCode
from ...protocol.hosts import normal_host
from .address_policy import AddressPolicy
from .network import ListeningBackend
from .response import ReceiverResponse

__all__ = ["HttpClient"]

_ANSWER_MAX_BYTES = 65_536
_TLS_RECOVERY = (
    "Give the receiver a valid certificate for the name in its URL; let DEPLOYMENT_SENDER_CA_FILE name who vouches for"
    " it if this machine's trust store does not know them, and mend http and https in the URL; then transfer again."
)
_CLIENT_TLS_RECOVERY = (
    "Let DEPLOYMENT_SENDER_CLIENT_CERT and DEPLOYMENT_SENDER_CLIENT_KEY name a valid certificate by one that the"
    " receiver's tls_client_ca names; then transfer again."
)
_BROKEN_RECOVERY = (
    "Check the network between both machines, that it is a receiver that listens there, and that its URL says https if"
    " it speaks TLS; then transfer again."
)
# RFC 8446 section 6.2, in OpenSSL's words: what the other side says of our certificate, or of none.
_CERTIFICATE_REFUSED = re.compile(r"ALERT_(\w*CERTIFICATE\w*|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)")
_WORDS: dict[type[Exception], str] = {
    httpcore.ConnectTimeout: "it did not answer in time",
    httpcore.ReadTimeout: "nothing came from it for too long",
    httpcore.WriteTimeout: "it took no more bytes for too long",
}


class HttpClient:
    """Asks and reads; follows no redirect, keeps no cookie, reads no proxy or password from the environment.

    Made in a thread without a loop of its own: what it loads and reads takes longer than a loop may wait.

    Args:
        connect_timeout_seconds: To resolve the name, to connect and to shake hands, each.
        idle_timeout_seconds: Between two bytes, in either direction.
        context: For TLS.
        rules: Which addresses may be connected to.
    """

    def __init__(
        self,
        connect_timeout_seconds: float,
        idle_timeout_seconds: float,
        context: ssl.SSLContext,
        rules: AddressPolicy,
    ) -> None:
        self._client = httpx.AsyncClient(
            transport=_Transport(context, rules),
            timeout=httpx.Timeout(idle_timeout_seconds, connect=connect_timeout_seconds),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "deployment-sender"},
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
        """Send a request and read its answer, also one that comes before the body is out.

        Args:
            method: `GET` or `POST`.
            url: http or https.
            headers: Further headers; `Content-Length` among them if there is a body.
            body: Pieces of up to 1 MB.
            authorize: Given the `Host` header and the target as they will be sent, answers the `Authorization` header.

        Raises:
            DeploymentSenderError: REMOTE_UNREACHABLE when no connection could be made, or none that both sides trust;
                TRANSFER_FAILED when it broke.
        """
        if self._client.is_closed:
            raise DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "the node was closed meanwhile", retry=False)
        with _translated(url):
            asked = self._client.build_request(method, url, headers=headers, content=body)
            asked.headers["Host"] = normal_host(asked.headers["Host"], asked.url.scheme)
            if asked.url.host.endswith("."):  # the root's dot is for resolvers; certificates name hosts without it
                asked.extensions["sni_hostname"] = asked.url.host.removesuffix(".")
            if authorize is not None:
                asked.headers["Authorization"] = authorize(asked.headers["Host"], asked.url.raw_path.decode("ascii"))
            answered = await self._client.send(asked, stream=True)
            try:
                content, complete = await _read_some(answered)
            finally:
                await answered.aclose()
        return ReceiverResponse(answered.status_code, answered.headers, content, complete)

    async def close(self) -> None:
        """Close every connection; exchanges under way fail."""
        await self._client.aclose()


async def _read_some(answered: httpx.Response) -> tuple[bytes, bool]:
    content = b""
    async for piece in answered.aiter_raw():
        content += piece
        if len(content) > _ANSWER_MAX_BYTES:
            return content[:_ANSWER_MAX_BYTES], False
    return content, True


class _Transport(httpx.AsyncBaseTransport):
    """httpcore's pool over our own sockets; httpx's transport of its own does not let one choose them."""

    def __init__(self, context: ssl.SSLContext, rules: AddressPolicy) -> None:
        # httpcore loads its asyncio backend when it first needs it: 50 ms that are better spent in this thread.
        asyncio.run(httpcore.AsyncConnectionPool().aclose())
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=ListeningBackend(rules),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answered = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answered.status, headers=answered.headers, stream=_AnswerStream(answered))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _AnswerStream(httpx.AsyncByteStream):
    def __init__(self, answered: httpcore.Response) -> None:
        self._answered = answered

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answered.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._answered.aclose()


@contextmanager
def _translated(url: str) -> Iterator[None]:
    where = urlsplit(url).netloc
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
        raise _unreachable(where, exc) from exc
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as exc:
        if _is_certificate_refused(exc):  # TLS 1.3 tells it after the handshake
            raise _unreachable(where, exc) from exc
        message = f"the connection to {where} broke: {_reason(exc)}"
        raise DeploymentSenderError(ErrorCode.TRANSFER_FAILED, message, recovery=_BROKEN_RECOVERY, retry=True) from exc
    except httpx.InvalidURL as exc:
        message = f"{where} is no address that can be connected to: {exc}"
        raise DeploymentSenderError(ErrorCode.REMOTE_UNREACHABLE, message, retry=False) from exc


def _unreachable(where: str, exc: Exception) -> DeploymentSenderError:
    message, cause = f"no connection to {where}: {_reason(exc)}", _cause(exc)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        recovery = _CLIENT_TLS_RECOVERY if _is_certificate_refused(exc) else _TLS_RECOVERY
        return DeploymentSenderError(ErrorCode.REMOTE_UNREACHABLE, message, recovery=recovery, retry=False)
    return DeploymentSenderError(ErrorCode.REMOTE_UNREACHABLE, message, retry=True)


def _is_certificate_refused(exc: Exception) -> bool:
    cause = _cause(exc)
    return isinstance(cause, ssl.SSLError) and _CERTIFICATE_REFUSED.search(cause.reason or "") is not None


def _cause(exc: Exception) -> object:
    """The exception behind one of httpcore's: its argument, as httpcore's pool drops the `__cause__`."""
    return exc.args[0] if exc.args else None


def _reason(exc: Exception) -> str:
    for kind, words in _WORDS.items():
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

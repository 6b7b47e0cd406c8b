"""httpx over httpcore's pool and our own sockets: httpx's own transport takes no network backend."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import httpcore
import httpx

from .address_policy import AddressPolicy
from .network import ListeningBackend

__all__ = ["PoolTransport"]


class PoolTransport(httpx.AsyncBaseTransport):
    """Sends requests over connections that read a response while they send (docs/adr/0006); keeps none of them.

    Create it in a thread without an event loop: httpcore loads its support for asyncio here.

    Args:
        context: For TLS.
        policy: Which addresses may be connected to.
    """

    def __init__(self, context: ssl.SSLContext, policy: AddressPolicy) -> None:
        _load_asyncio_support()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=ListeningBackend(policy),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the exceptions are httpcore's."""
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_ResponseStream(response))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _ResponseStream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._response.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


def _load_asyncio_support() -> None:
    """Have httpcore import its support for asyncio now: 50 ms that would block the loop at the first request."""
    asyncio.run(httpcore.AsyncConnectionPool().aclose())

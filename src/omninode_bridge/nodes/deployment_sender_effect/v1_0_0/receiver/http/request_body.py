"""The body of a request as it arrives, with a time-out between chunks."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ..limits import DrainLimits
from .errors import RefusedError

__all__ = ["RequestBody"]


class RequestBody:
    """The body of a request as it arrives.

    Args:
        receive: The request's ASGI `receive`.
        idle_timeout_seconds: How long to wait for the next chunk.

    Attributes:
        complete: Whether nothing more will come.
        idle_timeout_seconds: As given.
    """

    def __init__(self, receive: Receive, idle_timeout_seconds: float) -> None:
        self._receive = receive
        self.idle_timeout_seconds = idle_timeout_seconds
        self.complete = False
        self._was_read_directly = False

    def mark_complete(self) -> None:
        """Record that the body was read to its announced end directly from the socket."""
        self.complete = self._was_read_directly = True

    def expect_surplus(self) -> None:
        """Let `drain` read what a client may have sent beyond the length that it announced.

        After a direct read such bytes are still in the socket, and closing it over them would reset the connection
        before the client has read the response.
        """
        self.complete = self.complete and not self._was_read_directly

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks as they arrive.

        Raises:
            RefusedError: 408, when nothing arrives for too long.
            ClientDisconnect: The client has gone.
        """
        while not self.complete:
            try:
                async with asyncio.timeout(self.idle_timeout_seconds):
                    chunk = await self._next()
            except TimeoutError:
                raise self.idle_error() from None
            yield chunk

    def idle_error(self) -> RefusedError:
        """Return the error for a body of which nothing arrives for too long."""
        return RefusedError(
            408,
            f"nothing arrived for {self.idle_timeout_seconds:g} s",
            recovery="Check the network between both machines, then transfer again.",
        )

    async def drain(self, limits: DrainLimits) -> None:
        """Read on and discard what arrives, up to the limits."""
        seen = 0
        try:
            async with asyncio.timeout(limits.max_seconds):
                while not self.complete and seen <= limits.max_bytes:
                    async with asyncio.timeout(limits.idle_seconds):
                        seen += len(await self._next())
        except (TimeoutError, ClientDisconnect):
            return

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.complete = True
            raise ClientDisconnect
        self.complete = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

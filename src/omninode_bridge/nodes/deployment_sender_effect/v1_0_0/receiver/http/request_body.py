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
        receive: Of the request.
        idle_timeout_seconds: How long to wait for the next chunk.

    Attributes:
        complete: Nothing more will come.
        idle_timeout_seconds: As given.
    """

    def __init__(self, receive: Receive, idle_timeout_seconds: float) -> None:
        self._receive = receive
        self.idle_timeout_seconds = idle_timeout_seconds
        self.complete = False
        self._was_read_past = False

    def read_past(self) -> None:
        """Say that somebody has read it to its end from the socket itself."""
        self.complete = self._was_read_past = True

    def listen_on(self) -> None:
        """Take what may come on top of what was announced for a part of it, to throw it away.

        Nobody but who reads from the socket itself leaves it there; the connection would be reset over it.
        """
        self.complete = self.complete and not self._was_read_past

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield what arrives.

        Raises:
            RefusedError: 408, when nothing arrives for too long.
            ClientDisconnect: The client has gone.
        """
        while not self.complete:
            try:
                async with asyncio.timeout(self.idle_timeout_seconds):
                    chunk = await self._next()
            except TimeoutError:
                raise self.silent() from None
            yield chunk

    def silent(self) -> RefusedError:
        """Make the error for a body of which nothing arrives."""
        return RefusedError(
            408,
            f"nothing arrived for {self.idle_timeout_seconds:g} s",
            recovery="Check the network between both machines, then transfer again.",
        )

    async def drain(self, patience: DrainLimits) -> None:
        """Read on for a while and throw away what comes."""
        seen = 0
        try:
            async with asyncio.timeout(patience.max_seconds):
                while not self.complete and seen <= patience.max_bytes:
                    async with asyncio.timeout(patience.idle_seconds):
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

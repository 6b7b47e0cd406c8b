"""Requests and answers over HTTP: bodies with a time-out, errors that clients come to hear."""

import asyncio
from collections.abc import AsyncGenerator, Mapping

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ..errors import ERRORS, DeploymentSenderError, ErrorCode
from ..protocol.upload import ErrorBody
from ..store.disk import is_disk_full, may_pass
from .limits import PATIENCE_WITH_THE_REFUSED, Patience

__all__ = ["Answer", "Body", "RefusedError", "error_answer"]


class RefusedError(DeploymentSenderError):
    """An error with an HTTP status of its own (RFC 9110 section 15).

    Args:
        status: The HTTP status.
        message: What happened, for a person.
        code: One of the eight codes.
        recovery: What the person should do next.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: ErrorCode = ErrorCode.TRANSFER_FAILED,
        recovery: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, message, recovery=recovery)
        self.status = status
        self.headers = dict(headers or {})


class Body:
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

    async def drain(self, patience: Patience) -> None:
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


class Answer(JSONResponse):
    """An answer that may come before all of the request's body has arrived.

    A server that answers and closes at once resets the connection under a client that still sends, and most clients
    then never read the answer: so it is sent, the body is read on for a while, and then the connection is closed.

    Args:
        status: The HTTP status.
        content: A JSON document.
        headers: Further headers.
    """

    def __init__(self, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, dict(headers or {}))
        self._request_body: Body | None = None
        self._patience = PATIENCE_WITH_THE_REFUSED

    def early(self, body: Body, patience: Patience = PATIENCE_WITH_THE_REFUSED) -> "Answer":
        """Let the answer come before `body` has arrived, unless it has."""
        if not body.complete:
            self._request_body = body
            self._patience = patience
            self.headers["Connection"] = "close"
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's
        if self._request_body is None:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await self._request_body.drain(self._patience)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_answer(error: DeploymentSenderError) -> Answer:
    """Tell an error as `ErrorBody`, with its own HTTP status or the table's, and without the receiver's own paths."""
    if error.code is ErrorCode.BUILD_FAILED and not isinstance(error, RefusedError):
        error = _disk_refusal(error)
    body = ErrorBody(error_code=error.code, error_message=error.message, recovery=error.recovery)
    if isinstance(error, RefusedError):
        return Answer(error.status, body.model_dump(), error.headers)
    return Answer(ERRORS[error.code].http_status, body.model_dump())


def _disk_refusal(error: DeploymentSenderError) -> RefusedError:
    """Make of what the disk refuses, whose message names our folders, what a client may read."""
    if is_disk_full(error):
        return RefusedError(
            507, "the receiver's disk is full", recovery="Make room on the receiver, then transfer again."
        )
    if may_pass(error):
        return RefusedError(
            503,
            "the receiver's store is busy",
            recovery="Wait a moment and transfer again.",
            headers={"Retry-After": "1"},
        )
    return RefusedError(500, "the receiver cannot use its store; its log tells why")

"""Responses over HTTP: errors that clients receive even if they still send."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ...errors import ERRORS, DeploymentSenderError, ErrorCode, StorageBusyError, StorageFullError
from ...protocol.responses import ErrorBody
from ..limits import DRAIN_AFTER_REJECTION, DrainLimits
from .errors import RefusedError
from .request_body import RequestBody

__all__ = ["EarlyResponse", "error_response"]


class EarlyResponse(JSONResponse):
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
        self._request_body: RequestBody | None = None
        self._patience = DRAIN_AFTER_REJECTION

    def early(self, body: RequestBody, patience: DrainLimits = DRAIN_AFTER_REJECTION) -> "EarlyResponse":
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


def error_response(error: DeploymentSenderError) -> EarlyResponse:
    """Tell an error as `ErrorBody`, with its own HTTP status or the table's, and without the receiver's own paths."""
    if error.code is ErrorCode.BUILD_FAILED and not isinstance(error, RefusedError):
        error = _disk_refusal(error)
    body = ErrorBody(error_code=error.code, error_message=error.message, recovery=error.recovery)
    if isinstance(error, RefusedError):
        return EarlyResponse(error.status, body.model_dump(), error.headers)
    return EarlyResponse(ERRORS[error.code].http_status, body.model_dump())


def _disk_refusal(error: DeploymentSenderError) -> RefusedError:
    """Make of what the disk refuses, whose message names our folders, what a client may read."""
    if isinstance(error, StorageFullError):
        return RefusedError(
            507, "the receiver's disk is full", recovery="Make room on the receiver, then transfer again."
        )
    if isinstance(error, StorageBusyError):
        return RefusedError(
            503,
            "the receiver's store is busy",
            recovery="Wait a moment and transfer again.",
            headers={"Retry-After": "1"},
        )
    return RefusedError(500, "the receiver cannot use its store; its log tells why")

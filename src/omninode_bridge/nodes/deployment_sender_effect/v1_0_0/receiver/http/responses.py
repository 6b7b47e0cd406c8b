"""Responses over HTTP, and the one place that chooses the status and the public code of an error."""

from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ...errors import ERRORS, ErrorCode, OperationError, StorageBusyError, StorageError, StorageFullError
from ...protocol.responses import ErrorBody
from ..limits import DRAIN_AFTER_REJECTION, DrainLimits
from .errors import RefusedError
from .request_body import RequestBody

__all__ = ["EarlyResponse", "error_response"]


class EarlyResponse(JSONResponse):
    """A JSON response that may be sent before all of the request's body has arrived.

    A server that responds and closes at once resets the connection of a client that still sends, and most clients then
    never read the response. So the response is sent first, then the body is read on and discarded within limits, and
    then the connection is closed.

    Args:
        status: The HTTP status.
        content: A JSON document.
        headers: Further headers.
    """

    def __init__(self, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, dict(headers or {}))
        self._request_body: RequestBody | None = None
        self._drain_limits = DRAIN_AFTER_REJECTION

    def before_body(self, body: RequestBody, drain_limits: DrainLimits = DRAIN_AFTER_REJECTION) -> "EarlyResponse":
        """Send the response before the rest of `body` has arrived, and close the connection; return the response.

        Changes nothing if the body is complete.
        """
        if not body.complete:
            self._request_body = body
            self._drain_limits = drain_limits
            self.headers["Connection"] = "close"
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response (ASGI)."""
        if self._request_body is None:
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await self._request_body.drain(self._drain_limits)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_response(error: OperationError) -> EarlyResponse:
    """Return the response that reports an error, an `ErrorBody`.

    Its status is that of a `RefusedError`, or the error table's. A message about the disk names folders of this
    machine, so it stays in the log and the client reads a general one.
    """
    if isinstance(error, StorageError):
        error = _storage_refusal(error)
    if isinstance(error, RefusedError):
        return _response(error.status, error.code, error, error.headers)
    return _response(ERRORS[error.public_code].http_status, error.public_code, error)


def _response(
    status: int, code: ErrorCode, error: OperationError, headers: Mapping[str, str] | None = None
) -> EarlyResponse:
    body = ErrorBody(error_code=code, error_message=error.message, recovery=error.recovery)
    return EarlyResponse(status, body.model_dump(), headers)


def _storage_refusal(error: StorageError) -> RefusedError:
    if isinstance(error, StorageFullError):
        return RefusedError(
            507, "the receiver's disk is full", recovery="Free space on the receiver's disk, then transfer again."
        )
    if isinstance(error, StorageBusyError):
        return RefusedError(
            503,
            "the receiver's store is busy",
            recovery="Wait a moment and transfer again.",
            headers={"Retry-After": "1"},
        )
    return RefusedError(500, "the receiver cannot use its store; its log gives the reason")

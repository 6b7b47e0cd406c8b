"""Refusals of the receiver with an HTTP status of their own."""

from collections.abc import Mapping

from ...errors import DeploymentSenderError, ErrorCode

__all__ = ["RefusedError"]


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

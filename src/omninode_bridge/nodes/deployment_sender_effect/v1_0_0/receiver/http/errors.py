"""Refusals that have an HTTP status of their own."""

from collections.abc import Mapping

from ...errors import ERRORS, ErrorCode, OperationError

__all__ = ["RefusedError"]


class RefusedError(OperationError):
    """A request that the receiver refuses with this HTTP status (RFC 9110 section 15).

    Args:
        status: The HTTP status.
        message: What happened, for a person.
        code: The `error_code` of the response's body.
        recovery: What the person should do next; the error table's sentence for `code` if not given.
        headers: Further headers of the response.
    """

    public_code = ErrorCode.TRANSFER_FAILED

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: ErrorCode = ErrorCode.TRANSFER_FAILED,
        recovery: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, recovery=recovery or ERRORS[code].recovery)
        self.code = code
        self.status = status
        self.headers = dict(headers or {})

"""What a receiver's answers mean (docs/receiver-protocol.md): a receipt, a state, or one of our errors."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urljoin

from pydantic import BaseModel, ValidationError

from ..errors import DeploymentSenderError, ErrorCode
from ..ports import DeploymentState, PackageUpload, Receipt
from ..protocol.upload import ErrorBody, ReceiptBody, StateBody

__all__ = ["Answer", "printable", "read_receipt", "read_state"]

M = TypeVar("M", bound=BaseModel)

_WORDS_MAX_CHARACTERS = 300
_RETRY_AFTER_MAX_SECONDS = 60.0
_RETRIED: set[int] = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_RECOVERIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: (
        "Set DEPLOYMENT_SENDER_SIGNING_KEY to a key that the receiver knows, and let both clocks agree; then transfer"
        " again."
    ),
    HTTPStatus.FORBIDDEN: "Ask whoever runs the receiver to let this machine and key send; then transfer again.",
    HTTPStatus.NOT_FOUND: "Check the receiver's URL: /deploy is added to it; then transfer again.",
    HTTPStatus.INSUFFICIENT_STORAGE: "Free space on the receiver's disk, then transfer again.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Make the image smaller, or raise the receiver's max_package_size_gb.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said.

    Attributes:
        headers: Names in lower case.
        body: At most 64 KB.
        complete: Whether that is all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool


def read_receipt(answer: Answer, upload: PackageUpload, deploy_url: str) -> Receipt:
    """Read the answer to a package.

    Args:
        answer: As it came.
        upload: What was sent.
        deploy_url: Where it was sent; a relative `status_url` starts there.

    Raises:
        DeploymentSenderError: TRANSFER_FAILED, PACKAGE_TOO_LARGE, or CHECKSUM_MISMATCH when the receiver could not
            verify the package or tells another checksum.
    """
    body = _read(answer, ReceiptBody, {"deployment_id", "checksum_verified"})
    if not body.deployment_id.isprintable():
        raise _unusable(answer, "whose deployment_id cannot be printed")
    if body.checksum is not None and body.checksum.lower() != upload.checksum:
        raise DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            f"the receiver got a package with the checksum {printable(body.checksum)} instead of {upload.checksum}",
        )
    if upload.verify_checksum and not body.checksum_verified:
        raise DeploymentSenderError(
            ErrorCode.CHECKSUM_MISMATCH,
            "the receiver took the package but did not verify its checksum, as was asked",
            recovery="Let the receiver check the BLAKE3, or transfer with verify_checksum=false.",
        )
    return Receipt(
        deployment_id=body.deployment_id,
        checksum_verified=body.checksum_verified,
        checksum=body.checksum,
        status=body.status,
        status_url=_absolute(deploy_url, body.status_url),
    )


def _absolute(deploy_url: str, status_url: str | None) -> str | None:
    try:
        return urljoin(deploy_url, status_url) if status_url else None
    except ValueError:
        return None


def read_state(answer: Answer) -> DeploymentState:
    """Read the state of a deployment.

    Raises:
        DeploymentSenderError: TRANSFER_FAILED.
    """
    body = _read(answer, StateBody, {"deployment_id", "status"})
    return DeploymentState(
        deployment_id=body.deployment_id,
        status=body.status,
        will_run=body.will_run,
        error_code=body.error_code and printable(body.error_code),
        error_message=body.error_message and printable(body.error_message),
    )


def _read(answer: Answer, model: type[M], needed: set[str]) -> M:
    """Read a 2xx answer; the further keys of a foreign receiver may mean something else, so they count if they fit."""
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(answer)
    found = _json_object(answer)
    try:
        return model.model_validate(found)
    except ValidationError as exc:
        wrong = {str(error["loc"][0]) for error in exc.errors()}
        if wrong & needed:
            raise _unusable(answer, f"whose {' and '.join(sorted(wrong & needed))} cannot be used") from exc
        return model.model_validate({key: value for key, value in found.items() if key not in wrong})


def _json_object(answer: Answer) -> dict[str, Any]:
    if not answer.complete:
        raise _unusable(answer, "that does not end")
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as exc:
        raise _unusable(answer, "that is no JSON") from exc
    if not isinstance(found, dict):
        raise _unusable(answer, "that is no JSON object")
    return found


def _unusable(answer: Answer, what: str) -> DeploymentSenderError:
    return DeploymentSenderError(
        ErrorCode.TRANSFER_FAILED,
        f"the receiver gave {_title(answer)} with an answer {what}{_after_colon(_own_words(answer))}",
        recovery="Check that the URL is that of a receiver: docs/receiver-protocol.md tells what one answers.",
        retry=False,
    )


def _refusal(answer: Answer) -> DeploymentSenderError:
    """Turn a status other than 2xx into the error that it means."""
    status = answer.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            f"the receiver answered {_title(answer)}, a redirect{_after_colon(answer.headers.get('location', ''))}",
            recovery="Redirects are not followed: give the URL of the receiver itself.",
            retry=False,
        )
    message = f"the receiver answered {_title(answer)}{_after_colon(_own_words(answer))}"
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        message = f"the receiver's disk is full; {message}"
    return DeploymentSenderError(
        _code(answer),
        message,
        recovery=_RECOVERIES.get(status),
        retry=status in _RETRIED,
        retry_after=_retry_after(answer) if status in _RETRIED else None,
    )


def _code(answer: Answer) -> ErrorCode:
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return ErrorCode.PACKAGE_TOO_LARGE
    told = _error_body(answer).error_code
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and told == ErrorCode.CHECKSUM_MISMATCH:
        return ErrorCode.CHECKSUM_MISMATCH
    return ErrorCode.TRANSFER_FAILED


def _error_body(answer: Answer) -> ErrorBody:
    try:
        return ErrorBody.model_validate_json(answer.body)
    except ValidationError:
        return ErrorBody()


def _own_words(answer: Answer) -> str:
    """What the receiver says of it: its error message, or the start of what is no page."""
    if told := _error_body(answer).error_message:
        return told
    if "html" in answer.headers.get("content-type", "").lower():
        return "a web page"
    return answer.body[: 4 * _WORDS_MAX_CHARACTERS].decode("utf-8", "replace")


def _title(answer: Answer) -> str:
    try:
        return f"{answer.status} {HTTPStatus(answer.status).phrase}"
    except ValueError:
        return str(answer.status)


def _after_colon(text: str) -> str:
    words = printable(text)
    return f": {words}" if words else ""


def printable(text: str) -> str:
    """Make another machine's words fit for a message: printable, on one line, at most 300 characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _WORDS_MAX_CHARACTERS else f"{words[: _WORDS_MAX_CHARACTERS - 3]}..."


def _retry_after(answer: Answer) -> float | None:
    """Read `Retry-After` (RFC 9110 10.2.3): seconds or a date; at most a minute, None if it cannot be read."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _RETRY_AFTER_MAX_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_SECONDS)

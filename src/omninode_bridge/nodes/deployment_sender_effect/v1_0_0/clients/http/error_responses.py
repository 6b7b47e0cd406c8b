"""What an answer other than 2xx means: which of our errors, whose fault, and what to do about it."""

import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ...errors import DeploymentSenderError, ErrorCode
from .response import ReceiverResponse, after_colon

__all__ = ["RETRIED", "refusal"]

RETRIED: frozenset[int] = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""What may pass (RFC 9110 section 15)."""

_RETRY_AFTER_MAX_SECONDS = 60.0
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
_TOO_LARGE_BY_WHOM = (
    "Raise the limit of who answered: a proxy's (nginx: client_max_body_size 0) or the receiver's max_package_size_gb;"
    " then transfer again."
)
_BEHIND = (
    "Start the receiver behind {proxy}, and check where it passes requests on to and how long it waits (nginx:"
    " proxy_pass, proxy_read_timeout); then transfer again."
)
_PROXY_RECOVERIES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "Check http or https and the port in the receiver's URL, and the log of {proxy}.",
    HTTPStatus.UNAUTHORIZED: "Let {proxy} pass requests on without a password of its own: the receiver checks the key.",
    HTTPStatus.FORBIDDEN: "Let {proxy} pass requests of this machine on to the receiver.",
    HTTPStatus.NOT_FOUND: (
        "Let {proxy} pass this path on to the receiver (nginx: location, proxy_pass), or correct the path in the"
        " receiver's URL."
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "Let {proxy} take larger bodies (nginx: client_max_body_size 0, and proxy_request_buffering off so that it"
        " stores none); then transfer again."
    ),
    HTTPStatus.BAD_GATEWAY: _BEHIND,
    HTTPStatus.SERVICE_UNAVAILABLE: _BEHIND,
    HTTPStatus.GATEWAY_TIMEOUT: _BEHIND,
}
_SIGNED_THROUGH_A_PROXY = (
    "Requests come through {proxy}: let it leave the Host header and the path as they are (nginx: proxy_set_header Host"
    " $http_host), or start the receiver with --public-url and the URL that is sent to. If that is so already: "
)


def refusal(answer: ReceiverResponse) -> DeploymentSenderError:
    """Turn a status other than 2xx into the error that it means."""
    status = answer.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return DeploymentSenderError(
            ErrorCode.TRANSFER_FAILED,
            f"the receiver answered {answer.title}, a redirect{after_colon(answer.headers.get('location', ''))}",
            recovery="Redirects are not followed: give the URL of the receiver itself.",
            retry=False,
        )
    return DeploymentSenderError(
        _code(answer),
        _message(answer),
        recovery=_recovery(answer),
        retry=status in RETRIED,
        retry_after=_retry_after(answer) if status in RETRIED else None,
    )


def _message(answer: ReceiverResponse) -> str:
    if answer.error is None and answer.proxy:
        return f"the proxy {answer.proxy} answered {answer.title} instead of the receiver"
    who = "the receiver" if answer.error else "the receiver, or something before it,"
    message = f"{who} answered {answer.title}{after_colon(answer.words)}"
    return f"the receiver's disk is full; {message}" if answer.status == HTTPStatus.INSUFFICIENT_STORAGE else message


def _recovery(answer: ReceiverResponse) -> str | None:
    usual = _RECOVERIES.get(answer.status)
    if answer.error is None and answer.proxy:
        advice = _PROXY_RECOVERIES.get(answer.status, "Look into the log of {proxy}; then transfer again.")
        return advice.format(proxy=answer.proxy)
    if answer.error is None and answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _TOO_LARGE_BY_WHOM
    if answer.status == HTTPStatus.UNAUTHORIZED and usual and answer.proxy:
        return _SIGNED_THROUGH_A_PROXY.format(proxy=answer.proxy) + usual[:1].lower() + usual[1:]
    return usual


def _code(answer: ReceiverResponse) -> ErrorCode:
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return ErrorCode.PACKAGE_TOO_LARGE
    told = answer.error and answer.error.error_code
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and told == ErrorCode.CHECKSUM_MISMATCH:
        return ErrorCode.CHECKSUM_MISMATCH
    return ErrorCode.TRANSFER_FAILED


def _retry_after(answer: ReceiverResponse) -> float | None:
    """Read `Retry-After` (RFC 9110 10.2.3): seconds or a date; at most a minute, None if it cannot be read."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _RETRY_AFTER_MAX_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_SECONDS)

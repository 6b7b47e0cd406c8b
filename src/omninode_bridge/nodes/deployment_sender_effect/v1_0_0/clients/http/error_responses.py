"""Turns every response that is not a success into an error: its type, its message, and what to do about it."""

import time
from collections.abc import Collection
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from ...errors import ChecksumMismatchError, ErrorCode, OperationError, PackageTooLargeError, TransferError
from ...protocol.version import PROTOCOL_HEADER, SUPPORTED_VERSIONS
from .response import ReceiverResponse
from .untrusted_text import after_colon, printable

__all__ = ["RETRIED", "check_protocol_version", "check_versions", "error_of"]

RETRIED: frozenset[int] = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Statuses after which the same request may succeed later (RFC 9110 section 15)."""

_RETRY_AFTER_MAX_SECONDS = 60.0  # as docs/receiver-protocol.md says; a longer pause would look like a hang
_RECOVERIES: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: (
        "Set DEPLOYMENT_SENDER_SIGNING_KEY to a key of the receiver, and set both clocks; then transfer again."
    ),
    HTTPStatus.FORBIDDEN: "Ask the receiver's operator to allow this machine and key; then transfer again.",
    HTTPStatus.NOT_FOUND: "Check the receiver's URL: /deploy is added to it; then transfer again.",
    HTTPStatus.INSUFFICIENT_STORAGE: "Free space on the receiver's disk, then transfer again.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Make the image smaller, or raise the receiver's max_package_size_gb.",
}
_TOO_LARGE_SOMEWHERE = (
    "Raise the limit of the machine that responded: a proxy's (nginx: client_max_body_size 0) or the receiver's"
    " max_package_size_gb; then transfer again."
)
_RECEIVER_BEHIND_PROXY = (
    "Start the receiver behind {proxy}, and check where it forwards requests and how long it waits (nginx: proxy_pass,"
    " proxy_read_timeout); then transfer again."
)
_PROXY_RECOVERIES: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "Check http or https and the port in the receiver's URL, and the log of {proxy}.",
    HTTPStatus.UNAUTHORIZED: "Configure {proxy} to forward requests without a password: the receiver checks the key.",
    HTTPStatus.FORBIDDEN: "Configure {proxy} to forward this machine's requests to the receiver.",
    HTTPStatus.NOT_FOUND: (
        "Configure {proxy} to forward this path to the receiver (nginx: location, proxy_pass), or correct the path in"
        " the receiver's URL."
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "Configure {proxy} to accept larger bodies (nginx: client_max_body_size 0, and proxy_request_buffering off so"
        " that it stores none); then transfer again."
    ),
    HTTPStatus.BAD_GATEWAY: _RECEIVER_BEHIND_PROXY,
    HTTPStatus.SERVICE_UNAVAILABLE: _RECEIVER_BEHIND_PROXY,
    HTTPStatus.GATEWAY_TIMEOUT: _RECEIVER_BEHIND_PROXY,
}
_SIGNED_THROUGH_A_PROXY = (
    "Requests pass through {proxy}: configure it to leave the Host header and the path unchanged (nginx:"
    " proxy_set_header Host $http_host), or start the receiver with --public-url and the URL that senders use. If that"
    " is so already: "
)


def error_of(response: ReceiverResponse) -> OperationError:
    """Return the error that a response with a status other than 2xx means."""
    status = response.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return TransferError(
            f"the receiver responded {response.title}, a redirect{after_colon(response.headers.get('location', ''))}",
            recovery="Redirects are not followed: give the URL of the receiver itself.",
            retry=False,
        )
    return _type(response)(
        _message(response),
        recovery=_recovery(response),
        retry=status in RETRIED,
        retry_after=_retry_after(response) if status in RETRIED else None,
    )


def check_protocol_version(response: ReceiverResponse) -> None:
    """Check that a response is of a version of the protocol that this sender knows; without the header it is 1.

    Raises:
        TransferError: It is of another.
    """
    version = response.headers.get(PROTOCOL_HEADER.lower(), "1").strip()
    if version not in map(str, SUPPORTED_VERSIONS):
        raise TransferError(
            f"the response speaks protocol version {printable(version)}; this sender speaks"
            f" {_listed(SUPPORTED_VERSIONS)}",
            recovery="Upgrade this sender, or use an older receiver.",
            retry=False,
        )


def check_versions(versions: Collection[int]) -> None:
    """Check that a receiver speaks a version of the protocol that this sender speaks, too.

    Raises:
        TransferError: It does not.
    """
    if not set(versions) & set(SUPPORTED_VERSIONS):
        raise TransferError(
            f"the receiver speaks protocol version {_listed(versions)}; this sender speaks"
            f" {_listed(SUPPORTED_VERSIONS)}",
            recovery="Upgrade this sender, or use an older receiver.",
            retry=False,
        )


def _listed(versions: Collection[int]) -> str:
    return " and ".join(str(version) for version in sorted(versions)) or "none"


def _message(response: ReceiverResponse) -> str:
    if response.error is None and response.proxy:
        return f"the proxy {response.proxy} responded {response.title} instead of the receiver"
    sender = "the receiver" if response.error else "the receiver, or something in front of it,"
    message = f"{sender} responded {response.title}{after_colon(response.text)}"
    return f"the receiver's disk is full; {message}" if response.status == HTTPStatus.INSUFFICIENT_STORAGE else message


def _recovery(response: ReceiverResponse) -> str | None:
    usual = _RECOVERIES.get(response.status)
    if response.error is None and response.proxy:
        advice = _PROXY_RECOVERIES.get(response.status, "Check the log of {proxy}; then transfer again.")
        return advice.format(proxy=response.proxy)
    if response.error is None and response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return _TOO_LARGE_SOMEWHERE
    if response.status == HTTPStatus.UNAUTHORIZED and usual and response.proxy:
        return _SIGNED_THROUGH_A_PROXY.format(proxy=response.proxy) + usual[:1].lower() + usual[1:]
    return usual or _receivers_recovery(response)


def _receivers_recovery(response: ReceiverResponse) -> str | None:
    """Return what the receiver itself advises against a 400, such as to upgrade it: it knows what it did not accept."""
    if response.status != HTTPStatus.BAD_REQUEST or response.error is None or not response.error.recovery:
        return None
    return printable(response.error.recovery)


def _type(response: ReceiverResponse) -> type[OperationError]:
    if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return PackageTooLargeError
    reported = response.error and response.error.error_code
    if response.status == HTTPStatus.UNPROCESSABLE_ENTITY and reported == ErrorCode.CHECKSUM_MISMATCH:
        return ChecksumMismatchError
    return TransferError


def _retry_after(response: ReceiverResponse) -> float | None:
    """Read `Retry-After` (RFC 9110 section 10.2.3).

    Returns:
        Seconds, at most a minute; None if there is no such header, or it cannot be read.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _RETRY_AFTER_MAX_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_MAX_SECONDS)

"""Responses that are not a success: the error, its message and its recovery, without a network."""

import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.error_responses import (
    check_protocol_version,
    error_of,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    OperationError,
    PackageTooLargeError,
    TransferError,
)
from support.receiver.scripted import Reply
from support.sending.content import response_of

DOCS = Path(__file__).parents[4] / "docs" / "receiver-protocol.md"
PAGE = "<html><title>413 Request Entity Too Large</title></html>"
TYPES = {
    "TRANSFER_FAILED": TransferError,
    "PACKAGE_TOO_LARGE": PackageTooLargeError,
    "CHECKSUM_MISMATCH": ChecksumMismatchError,
}
NGINX = {"Server": "nginx/1.22.1", "Content-Type": "text/html"}


def refused(reply: Reply) -> OperationError:
    """Return the error of a reply."""
    return error_of(response_of(reply))


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_busy_receiver_is_worth_a_retry(status: int) -> None:
    """The same request may succeed later."""
    error = refused(Reply(status))

    assert (TransferError, True, None) == (type(error), error.retry, error.retry_after)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 415, 422, 500, 501, 507, 599])
def test_a_refusal_is_not_worth_a_retry(status: int) -> None:
    """The same request would be refused again."""
    error = refused(Reply(status, {"error_message": "no \x1b[31mway"}))

    assert (TransferError, False) == (type(error), error.retry)
    assert error.message.endswith(": no [31mway")


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "DEPLOYMENT_SENDER_SIGNING_KEY"),
        (403, "Ask the receiver's operator"),
        (404, "URL"),
        (507, "Free space on the receiver's disk"),
        (413, "max_package_size_gb"),
        (413, "client_max_body_size"),
    ],
)
def test_a_refusal_has_a_recovery(status: int, hint: str) -> None:
    """It names the next step."""
    assert hint in refused(Reply(status)).recovery


def test_a_full_disk_is_named() -> None:
    """The message explains a 507."""
    error = refused(Reply(507))

    assert (
        "the receiver's disk is full; the receiver, or something in front of it, responded 507 Insufficient Storage"
        == error.message
    )


@pytest.mark.parametrize(
    ("status", "reported", "kind"),
    [
        (422, "CHECKSUM_MISMATCH", ChecksumMismatchError),
        (422, "VALIDATION_ERROR", TransferError),
        (400, "CHECKSUM_MISMATCH", TransferError),
    ],
)
def test_the_receiver_can_report_a_checksum_mismatch(status: int, reported: str, kind: type[OperationError]) -> None:
    """Only a 422 with that code means it."""
    error = refused(Reply(status, {"error_code": reported, "error_message": "x"}))

    assert (kind, False) == (type(error), error.retry)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("0", 0), ("99999", 60), ("soon", None), ("-1", None), ("²", None)]
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    """Whole seconds up to a minute count; a value that cannot be read does not."""
    assert seconds == refused(Reply(503, headers={"Retry-After": header})).retry_after


@pytest.mark.parametrize(("in_seconds", "low", "high"), [(30, 25, 30), (-100, 0, 0), (1000, 60, 60)])
def test_retry_after_as_a_date(in_seconds: int, low: float, high: float) -> None:
    """An HTTP date counts from now on, between now and a minute."""
    date = formatdate(time.time() + in_seconds, usegmt=True)
    error = refused(Reply(429, headers={"Retry-After": date}))

    assert error.retry_after is not None
    assert low <= error.retry_after <= high


def documented() -> list[tuple[int, str, bool]]:
    """Status, code and whether it is tried again, from the docs' table of refusals."""
    table = DOCS.read_text(encoding="utf-8").partition("## Refusals")[2].partition("\n\n### ")[0]
    rows = [
        [cell.strip() for cell in row.split("|")[1:5]]
        for row in table.splitlines()
        if row.startswith(("| 3", "| 4", "| 5"))
    ]
    return [
        (int(status.replace("3xx", "307")), re.findall(r"`([A-Z_]+)`", code)[-1], again == "yes")
        for statuses, _, code, again in rows
        for status in statuses.split(", ")
    ]


@pytest.mark.parametrize(("status", "code", "again"), documented())
def test_refusals_mean_what_the_docs_say(status: int, code: str, again: bool) -> None:
    """Code and retry are those of the docs' table."""
    error = refused(Reply(status, {"error_code": "CHECKSUM_MISMATCH"}))

    assert (TYPES[code], again) == (type(error), error.retry)


@pytest.mark.parametrize(
    ("status", "kind", "again", "hint"),
    [
        (400, TransferError, False, "http or https"),
        (401, TransferError, False, "without a password"),
        (403, TransferError, False, "forward this machine's requests"),
        (404, TransferError, False, "proxy_pass"),
        (413, PackageTooLargeError, False, "client_max_body_size"),
        (500, TransferError, False, "the log of nginx/1.22.1"),
        (502, TransferError, True, "Start the receiver behind nginx/1.22.1"),
        (504, TransferError, True, "proxy_read_timeout"),
    ],
)
def test_a_proxys_own_refusal_is_reported_as_such(
    status: int, kind: type[OperationError], again: bool, hint: str
) -> None:
    """The message names the proxy and its setting, and no setting of the receiver."""
    error = refused(Reply(status, PAGE, NGINX))

    assert error.message.startswith("the proxy nginx/1.22.1 responded ")
    assert (kind, again) == (type(error), error.retry)
    assert hint in error.recovery
    assert "max_package_size_gb" not in error.recovery


def test_a_proxy_may_have_invalidated_a_signature() -> None:
    """The response is the receiver's, forwarded by a proxy."""
    error = refused(Reply(401, {"error_message": "the signature does not match"}, {"Server": "nginx"}))

    assert "the receiver responded 401 Unauthorized: the signature does not match" == error.message
    for hint in ("proxy_set_header Host", "--public-url", "DEPLOYMENT_SENDER_SIGNING_KEY"):
        assert hint in error.recovery


def test_without_a_proxy_only_the_key_is_named() -> None:
    """The recovery names no program that is not there."""
    error = refused(Reply(401, {"error_message": "the signature does not match"}, {"Server": "uvicorn"}))

    assert "proxy" not in error.recovery


def test_a_receiver_that_refuses_the_protocol_version_gives_the_recovery() -> None:
    """A 400 is quoted, with the receiver's own advice made printable."""
    message = "the request speaks protocol version 2; this receiver speaks 9"
    error = refused(Reply(400, {"error_message": message, "recovery": "Use an \x1bolder sender."}))

    assert (f"the receiver responded 400 Bad Request: {message}", "Use an older sender.", False) == (
        error.message,
        error.recovery,
        error.retry,
    )


@pytest.mark.parametrize("headers", [{}, {"Deployment-Protocol": "1"}, {"deployment-protocol": " 2 "}])
def test_a_response_of_a_known_protocol_version_passes(headers: dict[str, str]) -> None:
    """Without the header it is version 1."""
    check_protocol_version(response_of(Reply(headers=headers)))


@pytest.mark.parametrize("version", ["9", "0", "two", "1, 2", ""])
def test_a_response_of_an_unknown_protocol_version_is_an_error(version: str) -> None:
    """Its body may mean anything, so it is not read."""
    with pytest.raises(TransferError, match=f"speaks protocol version {version}; this sender speaks 1 and 2") as caught:
        check_protocol_version(response_of(Reply(headers={"Deployment-Protocol": version})))

    assert ("Upgrade this sender, or use an older receiver.", False) == (caught.value.recovery, caught.value.retry)

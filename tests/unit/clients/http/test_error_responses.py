"""What an answer other than 2xx means, and what to do about it, without a network."""

import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.error_responses import refusal
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from support.receiver.scripted import Reply
from support.sending.uploads import as_answer

DOCS = Path(__file__).parents[4] / "docs" / "receiver-protocol.md"
PAGE = "<html><title>413 Request Entity Too Large</title></html>"
NGINX = {"Server": "nginx/1.22.1", "Content-Type": "text/html"}


def refused(reply: Reply) -> DeploymentSenderError:
    """Read a reply that is a refusal."""
    return refusal(as_answer(reply))


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_busy_receivers_may_be_tried_again(status: int) -> None:
    """These answers pass with time."""
    error = refused(Reply(status))

    assert (ErrorCode.TRANSFER_FAILED, True, None) == (error.code, error.retry, error.retry_after)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 415, 422, 500, 501, 507, 599])
def test_refusals_are_not_tried_again(status: int) -> None:
    """The same request would be refused the same."""
    error = refused(Reply(status, {"error_message": "no \x1b[31mway"}))

    assert (ErrorCode.TRANSFER_FAILED, False) == (error.code, error.retry)
    assert error.message.endswith(": no [31mway")


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "DEPLOYMENT_SENDER_SIGNING_KEY"),
        (403, "Ask whoever runs the receiver"),
        (404, "URL"),
        (507, "Free space on the receiver's disk"),
        (413, "max_package_size_gb"),
        (413, "client_max_body_size"),
    ],
)
def test_refusals_say_what_to_do(status: int, hint: str) -> None:
    """The person learns the next step."""
    assert hint in refused(Reply(status)).recovery


def test_a_full_disk_is_named() -> None:
    """507 is told in words."""
    error = refused(Reply(507))

    assert (
        "the receiver's disk is full; the receiver, or something before it, answered 507 Insufficient Storage"
        == error.message
    )


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (422, "CHECKSUM_MISMATCH", ErrorCode.CHECKSUM_MISMATCH),
        (422, "VALIDATION_ERROR", ErrorCode.TRANSFER_FAILED),
        (400, "CHECKSUM_MISMATCH", ErrorCode.TRANSFER_FAILED),
    ],
)
def test_the_receiver_can_tell_a_checksum_mismatch(status: int, told: str, code: ErrorCode) -> None:
    """Only 422 with that code means it."""
    error = refused(Reply(status, {"error_code": told, "error_message": "x"}))

    assert (code, False) == (error.code, error.retry)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("0", 0), ("99999", 60), ("soon", None), ("-1", None), ("²", None)]
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    """Whole seconds up to a minute count; what cannot be read does not."""
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

    assert (code, again) == (error.code, error.retry)


@pytest.mark.parametrize(
    ("status", "code", "again", "hint"),
    [
        (400, ErrorCode.TRANSFER_FAILED, False, "http or https"),
        (401, ErrorCode.TRANSFER_FAILED, False, "without a password of its own"),
        (403, ErrorCode.TRANSFER_FAILED, False, "pass requests of this machine on"),
        (404, ErrorCode.TRANSFER_FAILED, False, "proxy_pass"),
        (413, ErrorCode.PACKAGE_TOO_LARGE, False, "client_max_body_size"),
        (500, ErrorCode.TRANSFER_FAILED, False, "the log of nginx/1.22.1"),
        (502, ErrorCode.TRANSFER_FAILED, True, "Start the receiver behind nginx/1.22.1"),
        (504, ErrorCode.TRANSFER_FAILED, True, "proxy_read_timeout"),
    ],
)
def test_a_proxys_own_refusal_is_told_as_such(status: int, code: ErrorCode, again: bool, hint: str) -> None:
    """By its name, with what to set there, and never with what a receiver would have to change."""
    error = refused(Reply(status, PAGE, NGINX))

    assert error.message.startswith("the proxy nginx/1.22.1 answered ")
    assert (code, again) == (error.code, error.retry)
    assert hint in error.recovery
    assert "max_package_size_gb" not in error.recovery


def test_a_signature_that_a_proxy_may_have_spoilt_says_so() -> None:
    """The words are the receiver's, and a proxy has passed them on."""
    error = refused(Reply(401, {"error_message": "the signature does not match"}, {"Server": "nginx"}))

    assert "the receiver answered 401 Unauthorized: the signature does not match" == error.message
    for hint in ("proxy_set_header Host", "--public-url", "DEPLOYMENT_SENDER_SIGNING_KEY"):
        assert hint in error.recovery


def test_without_a_proxy_the_key_is_what_to_look_at() -> None:
    """Nobody is told of programs that are not there."""
    error = refused(Reply(401, {"error_message": "the signature does not match"}, {"Server": "uvicorn"}))

    assert "proxy" not in error.recovery

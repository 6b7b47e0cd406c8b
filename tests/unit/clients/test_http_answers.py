"""What a receiver's answers mean, without a network."""

import re
import time
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http_answers import Answer, printable, read_receipt
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Receipt
from support.scripted_receiver import Reply, receipt
from support.uploads import UPLOAD

DOCS = Path(__file__).parents[3] / "docs" / "receiver-protocol.md"


def taken(reply: Reply, **changes: Any) -> Receipt:
    """Read a reply as the answer to a package."""
    head, _, body = reply.encoded().partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    answer = Answer(reply.status, headers, body, complete=True)
    return read_receipt(answer, replace(UPLOAD, **changes), "http://receiver:8001/deploy")


def failed(reply: Reply) -> DeploymentSenderError:
    """Read a reply that is no receipt; answer the error."""
    with pytest.raises(DeploymentSenderError) as caught:
        taken(reply)
    return caught.value


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_busy_receivers_may_be_tried_again(status: int) -> None:
    """These answers pass with time."""
    error = failed(Reply(status))

    assert (ErrorCode.TRANSFER_FAILED, True, None) == (error.code, error.retry, error.retry_after)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 415, 422, 500, 501, 507, 599])
def test_refusals_are_not_tried_again(status: int) -> None:
    """The same request would be refused the same."""
    error = failed(Reply(status, {"error_message": "no \x1b[31mway"}))

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
    ],
)
def test_refusals_say_what_to_do(status: int, hint: str) -> None:
    """The person learns the next step."""
    assert hint in failed(Reply(status)).recovery


def test_a_full_disk_is_named() -> None:
    """507 is told in words."""
    error = failed(Reply(507))

    assert "the receiver's disk is full; the receiver answered 507 Insufficient Storage" == error.message


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
    error = failed(Reply(status, {"error_code": told, "error_message": "x"}))

    assert (code, False) == (error.code, error.retry)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("0", 0), ("99999", 60), ("soon", None), ("-1", None), ("²", None)]
)
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    """Whole seconds up to a minute count; what cannot be read does not."""
    assert seconds == failed(Reply(503, headers={"Retry-After": header})).retry_after


@pytest.mark.parametrize(("in_seconds", "low", "high"), [(30, 25, 30), (-100, 0, 0), (1000, 60, 60)])
def test_retry_after_as_a_date(in_seconds: int, low: float, high: float) -> None:
    """An HTTP date counts from now on, between now and a minute."""
    date = formatdate(time.time() + in_seconds, usegmt=True)
    error = failed(Reply(429, headers={"Retry-After": date}))

    assert error.retry_after is not None
    assert low <= error.retry_after <= high


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, "<html>welcome</html>", {"Content-Type": "text/html"}),
        Reply(200, "fine"),
        Reply(204),
        Reply(200, "[" * 60_000),
        Reply(200, '["deployment_id"]'),
        Reply(200, {"checksum_verified": True}),
        Reply(200, {"deployment_id": "", "checksum_verified": True}),
        Reply(200, {"deployment_id": "a\nb", "checksum_verified": True}),
        Reply(200, {"deployment_id": "d-1"}),
    ],
)
def test_what_is_no_receipt_is_no_success(reply: Reply) -> None:
    """A web page, other JSON or an answer without an id are told once."""
    error = failed(reply)

    assert (ErrorCode.TRANSFER_FAILED, False) == (error.code, error.retry)
    assert 420 > len(error.message)


@pytest.mark.parametrize("more", [{"status": "success"}, {"checksum": 5}, {"status_url": 7}, {"status": None}])
def test_other_keys_of_a_foreign_receiver_do_not_matter(more: dict[str, object]) -> None:
    """Only the id and checksum_verified are asked of a receiver that is not ours."""
    answered = taken(receipt(**more))

    assert Receipt("d-1", checksum_verified=True) == answered


def test_a_status_url_that_cannot_be_read_is_none() -> None:
    """There is nothing to ask for then."""
    assert taken(receipt(status_url="http://[::1")).status_url is None


def test_another_checksum_is_a_mismatch() -> None:
    """The receiver has something else than what was sent."""
    error = failed(receipt(checksum="cd" * 32))

    assert (ErrorCode.CHECKSUM_MISMATCH, False) == (error.code, error.retry)


def test_an_unverified_package_is_a_mismatch_if_verification_was_asked_for() -> None:
    """A receiver that did not check has not done what was asked."""
    assert ErrorCode.CHECKSUM_MISMATCH is failed(receipt(checksum_verified=False)).code


def test_an_unverified_package_will_do_if_nothing_was_asked_for() -> None:
    """Without verification the receipt says that there was none."""
    answered = taken(receipt(checksum_verified=False), verify_checksum=False)

    assert not answered.checksum_verified


@pytest.mark.parametrize(
    ("text", "words"),
    [("a\n b\tc", "a b c"), ("\x1b[31mred", "[31mred"), ("\u202ex", "x"), ("x" * 400, "x" * 297 + "...")],
)
def test_another_machines_words_are_made_printable_and_short(text: str, words: str) -> None:
    """Nothing that moves a cursor or fills a screen comes through."""
    assert words == printable(text)


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
    error = failed(Reply(status, {"error_code": "CHECKSUM_MISMATCH"}))

    assert (code, again) == (error.code, error.retry)

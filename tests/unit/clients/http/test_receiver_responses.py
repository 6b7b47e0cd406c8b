"""What a receiver's answers mean, without a network."""

from dataclasses import replace
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.receiver_responses import (
    read_info,
    read_receipt,
    read_state,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Receipt, ReceiverEngine, ReceiverInfo
from support.receiver.scripted import Reply, receipt
from support.sending.uploads import UPLOAD, as_answer

INFO: dict[str, object] = {
    "version": "1.0.0",
    "time": "2026-01-01T00:00:00Z",
    "engine": {
        "name": "Docker Engine",
        "version": "20.10",
        "store": "overlay2",
        "os": "linux",
        "architecture": "aarch64",
        "variant": "v8",
    },
    "free_bytes": 1000,
    "max_package_bytes": 500,
    "will_run": True,
}


def taken(reply: Reply, **changes: Any) -> Receipt:
    """Read a reply as the answer to a package."""
    return read_receipt(as_answer(reply), replace(UPLOAD, **changes), "http://receiver:8001/deploy")


def failed(reply: Reply) -> DeploymentSenderError:
    """Read a reply that is no receipt; return the error."""
    with pytest.raises(DeploymentSenderError) as caught:
        taken(reply)
    return caught.value


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


@pytest.mark.parametrize("status", [500, 503, 507])
def test_trouble_of_a_receiver_that_has_the_package_may_pass(status: int) -> None:
    """A disk that is full for a moment is no reason to call the deployment failed."""
    with pytest.raises(DeploymentSenderError) as caught:
        read_state(as_answer(Reply(status, {"error_message": "no space left"})))

    assert (ErrorCode.TRANSFER_FAILED, True) == (caught.value.code, caught.value.retry)


def test_a_failed_deployment_has_its_log_whole() -> None:
    """Each line, without control characters."""
    log = "\n".join(f"line {n} \x1b[0m" for n in range(50))
    state = read_state(as_answer(Reply(body={"deployment_id": "d-1", "status": "failed", "error_message": log})))

    assert "\n".join(f"line {n} [0m" for n in range(50)) == state.error_message


def test_what_a_receiver_says_of_itself() -> None:
    """The platform in its one spelling."""
    assert ReceiverInfo(
        version="1.0.0",
        time="2026-01-01T00:00:00Z",
        engine=ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/arm64"),
        free_bytes=1000,
        max_package_bytes=500,
        will_run=True,
    ) == read_info(as_answer(Reply(body=INFO)))


def test_an_engine_that_is_down_is_told_with_its_reason() -> None:
    """There is nothing else to tell of it."""
    info = read_info(as_answer(Reply(body=INFO | {"engine": None, "engine_error": "no\x07 engine"})))

    assert info is not None
    assert (None, "no engine") == (info.engine, info.engine_error)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(404, {"error_message": "no such page"}),
        Reply(405),
        Reply(401, "<html>"),
        Reply(500, "oh"),
        Reply(body="fine"),
        Reply(body={"status": "ok"}),
    ],
)
def test_a_receiver_without_that_page_says_nothing(reply: Reply) -> None:
    """It is older, or of another make."""
    assert read_info(as_answer(reply)) is None


@pytest.mark.parametrize(("status", "again"), [(401, False), (403, False), (503, True), (502, True)])
def test_a_receiver_that_refuses_the_question_is_told(status: int, again: bool) -> None:
    """In its own words."""
    with pytest.raises(DeploymentSenderError, match="not you") as caught:
        read_info(as_answer(Reply(status, {"error_message": "not you"})))

    assert again == caught.value.retry

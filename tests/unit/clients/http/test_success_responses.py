"""A receiver's 2xx responses are read, without a network."""

from dataclasses import replace
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.success_responses import (
    read_info,
    read_receipt,
    read_state,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    OperationError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Receipt, ReceiverEngine, ReceiverInfo
from support.receiver.scripted import Reply, receipt
from support.sending.content import CONTENT, response_of

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


def read(reply: Reply, **changes: Any) -> Receipt:
    """Read a reply as the response to an upload."""
    return read_receipt(response_of(reply), replace(CONTENT, **changes), "http://receiver:8001/deploy")


def failed(reply: Reply) -> OperationError:
    """Read a reply that is not a receipt; return the error."""
    with pytest.raises(OperationError) as caught:
        read(reply)
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
def test_a_response_that_is_not_a_receipt_fails(reply: Reply) -> None:
    """A web page, other JSON or a response without an id is quoted in part."""
    error = failed(reply)

    assert (TransferError, False) == (type(error), error.retry)
    assert 420 > len(error.message)


@pytest.mark.parametrize("more", [{"status": "success"}, {"checksum": 5}, {"status_url": 7}, {"status": None}])
def test_other_keys_of_a_foreign_receiver_do_not_matter(more: dict[str, object]) -> None:
    """Only the id and checksum_verified are required of a receiver that is not ours."""
    found = read(receipt(**more))

    assert Receipt("d-1", checksum_verified=True) == found


def test_a_status_url_that_cannot_be_read_is_none() -> None:
    """The status cannot be requested then."""
    assert read(receipt(status_url="http://[::1")).status_url is None


def test_another_checksum_is_a_mismatch() -> None:
    """The receiver has other bytes than those that were sent."""
    error = failed(receipt(checksum="cd" * 32))

    assert (ChecksumMismatchError, False) == (type(error), error.retry)


def test_an_unverified_package_is_a_mismatch_if_verification_was_requested() -> None:
    """A receiver that did not verify has not done what was requested."""
    assert ChecksumMismatchError is type(failed(receipt(checksum_verified=False)))


def test_an_unverified_package_is_accepted_if_verification_was_not_requested() -> None:
    """Without verification the receipt says that there was none."""
    found = read(receipt(checksum_verified=False), verify_checksum=False)

    assert not found.checksum_verified


@pytest.mark.parametrize("status", [500, 503, 507])
def test_a_server_error_of_a_receiver_that_has_the_package_is_worth_a_retry(status: int) -> None:
    """A disk that is full for a moment is no reason to call the deployment failed."""
    with pytest.raises(TransferError) as caught:
        read_state(response_of(Reply(status, {"error_message": "no space left"})))

    assert caught.value.retry


def test_a_failed_deployment_has_its_log_whole() -> None:
    """Every line is kept, without control characters."""
    log = "\n".join(f"line {n} \x1b[0m" for n in range(50))
    state = read_state(response_of(Reply(body={"deployment_id": "d-1", "status": "failed", "error_message": log})))

    assert "\n".join(f"line {n} [0m" for n in range(50)) == state.error_message


def test_a_receivers_description_is_read() -> None:
    """The platform has its one spelling."""
    assert ReceiverInfo(
        version="1.0.0",
        time="2026-01-01T00:00:00Z",
        engine=ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/arm64"),
        free_bytes=1000,
        max_package_bytes=500,
        will_run=True,
    ) == read_info(response_of(Reply(body=INFO)))


def test_an_engine_that_is_down_has_its_reason() -> None:
    """The reason is made printable."""
    info = read_info(response_of(Reply(body=INFO | {"engine": None, "engine_error": "no\x07 engine"})))

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
def test_a_receiver_without_that_page_has_no_description(reply: Reply) -> None:
    """It is older, or of another make."""
    assert read_info(response_of(reply)) is None


@pytest.mark.parametrize(("status", "again"), [(401, False), (403, False), (503, True), (502, True)])
def test_a_receiver_that_refuses_the_request_is_an_error(status: int, again: bool) -> None:
    """The message has the receiver's own."""
    with pytest.raises(TransferError, match="not you") as caught:
        read_info(response_of(Reply(status, {"error_message": "not you"})))

    assert again == caught.value.retry


@pytest.mark.parametrize("versions", [[1], [1, 2], [2], [2, 3]])
def test_a_receiver_that_speaks_a_known_version_is_described(versions: list[int]) -> None:
    """One common version is enough; a receiver of version 1 does not report any."""
    assert read_info(response_of(Reply(body=INFO | {"protocol_versions": versions}))) is not None


@pytest.mark.parametrize(("versions", "listed"), [([3, 4], "3 and 4"), ([3], "3"), ([], "none")])
def test_a_receiver_that_speaks_no_known_version_is_an_error(versions: list[int], listed: str) -> None:
    """The message has the versions of both sides, and the recovery says which side to change."""
    with pytest.raises(TransferError) as caught:
        read_info(response_of(Reply(body=INFO | {"protocol_versions": versions})))

    assert f"the receiver speaks protocol version {listed}; this sender speaks 1 and 2" == caught.value.message
    assert ("Upgrade this sender, or use an older receiver.", False) == (caught.value.recovery, caught.value.retry)

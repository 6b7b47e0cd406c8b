"""Attempts to send: how each is timed, what the state reports, and when they end."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    OperationError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    DeploymentState,
    PackageContent,
    Progress,
    Receipt,
    ReceiverEngine,
    ReceiverInfo,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.attempt import (
    AttemptLimits,
    AttemptTimer,
    PackageSender,
    TransferState,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.retrying import Pauses
from support.sending.target import LATE_SECONDS, FakeTargets, LateTargets

SIZE_BYTES = 1000
URL = "http://receiver:8001"
RECEIPT = Receipt("d-1", checksum_verified=True, status="received")
BUSY = TransferError("busy", retry=True)
LIMITS = AttemptLimits(seconds=60, attempts=3, pauses=Pauses(first_seconds=0, spread_seconds=0))


@pytest.fixture
def content(tmp_path: Path) -> Iterator[PackageContent]:
    """A package to send."""
    path = tmp_path / "package"
    path.write_bytes(os.urandom(SIZE_BYTES))
    identity = PackageIdentity("p-1", "ab" * 32, "hello", "1.0", size_bytes=SIZE_BYTES)
    with path.open("rb", buffering=0) as file:
        yield PackageContent(identity, file, "image.tar", verify_checksum=True)


def a_state(reported: list[Progress] | None = None) -> TransferState:
    """Return the state of a new transfer."""
    return TransferState((reported if reported is not None else []).append)


async def failure(targets: FakeTargets, content: PackageContent, state: TransferState, **more: str) -> OperationError:
    """Send a package that is not accepted; return the error."""
    with pytest.raises(OperationError) as caught:
        await PackageSender(targets.open(URL), content, state, more.get("platform")).send(LIMITS)
    return caught.value


def test_an_attempt_has_three_stages() -> None:
    """Together they last as long as the attempt."""
    timer = AttemptTimer()
    timer.record_sent(0)
    timer.record_sent(500)
    stages = timer.stages_ms()

    assert ["connect", "send", "verify"] == list(stages)
    assert all(milliseconds >= 0 for milliseconds in stages.values())
    assert (500, True) == (timer.sent_bytes, timer.megabytes_per_second > 0)


def test_an_attempt_that_never_connected_has_no_time_to_send() -> None:
    """A receiver may respond before anything is sent."""
    stages = AttemptTimer().stages_ms()

    assert (0, 0) == (stages["connect"], stages["send"])


async def test_a_receipt_ends_the_attempts(content: PackageContent) -> None:
    """The state has the figures of the successful attempt, and the failures before it are reported."""
    reported: list[Progress] = []
    state = a_state(reported)
    targets = FakeTargets([BUSY, RECEIPT])
    receipt = await PackageSender(targets.open(URL), content, state, None).send(LIMITS)

    assert (RECEIPT, RECEIPT, None) == (receipt, state.receipt, state.last_error)
    assert (2, SIZE_BYTES) == (state.attempts, state.bytes_transferred)
    assert ["upload", "upload", "retry", "upload", "upload", "deploy"] == [step.stage for step in reported]
    assert {"connect", "send", "verify"} == set(state.stages_ms)


async def test_the_limit_of_attempts_ends_them(content: PackageContent) -> None:
    """The error is that of the last attempt."""
    state = a_state()

    assert BUSY is await failure(FakeTargets([BUSY]), content, state)
    assert (3, None, BUSY) == (state.attempts, state.receipt, state.last_error)


async def test_the_deadline_keeps_the_type_of_the_last_error(content: PackageContent) -> None:
    """A receiver that was never reached is unreachable, also when the time is over."""
    state, limits = a_state(), replace(LIMITS, seconds=LATE_SECONDS, attempts=None)
    targets = LateTargets([ReceiverUnreachableError("connection refused", recovery="Start it.")])
    with pytest.raises(ReceiverUnreachableError, match="3 attempts; the last failure: connection refused") as caught:
        await PackageSender(targets.open(URL), content, state, None).send(limits)

    assert "Start it." == caught.value.recovery


async def test_the_platform_is_checked_once(content: PackageContent) -> None:
    """A retry does not request it again."""
    info = ReceiverInfo("1", "now", ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/amd64"))
    targets = FakeTargets([BUSY, RECEIPT], infos=[info, TransferError("requested twice", retry=False)])
    receipt = await PackageSender(targets.open(URL), content, a_state(), "linux/amd64").send(LIMITS)

    assert RECEIPT == receipt


async def test_another_platform_is_refused_without_an_attempt(content: PackageContent) -> None:
    """Nothing is sent."""
    info = ReceiverInfo("1", "now", ReceiverEngine("Docker Engine", "20.10", "overlay2", "linux/arm64"))
    state, targets = a_state(), FakeTargets([RECEIPT], infos=[info])
    error = await failure(targets, content, state, platform="linux/amd64")

    assert ([], 0, False) == (targets.sent, state.attempts, error.retry)


async def test_an_unreachable_receiver_counts_as_an_attempt(content: PackageContent) -> None:
    """The request for its platform fails as the upload would have."""
    state, targets = a_state(), FakeTargets([RECEIPT], infos=[ReceiverUnreachableError("connection refused")])
    await failure(targets, content, state, platform="linux/amd64")

    assert 3 == state.attempts


@pytest.mark.parametrize(
    ("deployment", "line"),
    [
        (DeploymentState("d-1", "loading"), "the receiver is loading the image"),
        (
            DeploymentState("d-1", "loaded", will_run=True),
            "the image is loaded, and the receiver is starting the container",
        ),
        (DeploymentState("d-1", "received", error_message="no engine"), "the receiver has the package: no engine"),
        (DeploymentState("d-1", "failed", error_message="no space"), "the deployment has failed"),
    ],
)
def test_each_state_of_the_deployment_is_reported_once(deployment: DeploymentState, line: str) -> None:
    """The reason of a failure is left to the error that follows."""
    reported: list[Progress] = []
    state = a_state(reported)
    state.receipt = RECEIPT
    state.record_deployment(deployment)
    state.record_deployment(deployment)

    assert [(line, deployment.status)] == [(step.line, step.receipt and step.receipt.status) for step in reported]


@pytest.mark.parametrize(
    ("receipt", "deployment", "continues"),
    [
        (None, None, False),
        (RECEIPT, None, True),
        (replace(RECEIPT, status="loaded"), None, False),
        (RECEIPT, DeploymentState("d-1", "loading"), True),
        (RECEIPT, DeploymentState("d-1", "loaded"), False),
        (RECEIPT, DeploymentState("d-1", "loaded", will_run=True), True),
        (RECEIPT, DeploymentState("d-1", "failed"), False),
    ],
)
def test_the_receiver_may_continue_after_the_transfer(
    receipt: Receipt | None, deployment: DeploymentState | None, continues: bool
) -> None:
    """That depends on the last status that it has reported."""
    state = a_state()
    state.receipt, state.deployment = receipt, deployment

    assert continues == state.continues

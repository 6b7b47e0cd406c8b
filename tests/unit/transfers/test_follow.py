"""Following a deployment: which statuses end it, and how long."""

import asyncio
from dataclasses import replace

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ReceiverUnreachableError, TransferError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import DeploymentStatus
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import WaitFor
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import DeploymentState, Receipt
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.follow import Follower
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.retrying import Pauses
from support.eventually import eventually
from support.sending.target import LATE_SECONDS, FakeTargets, LateTargets

URL = "http://receiver:8001"
STATUS_URL = f"{URL}/deployments/d-1"
AWAY = ReceiverUnreachableError("connection refused")


def state(status: DeploymentStatus, *, will_run: bool = False) -> DeploymentState:
    """A deployment in a status."""
    return DeploymentState("d-1", status, will_run=will_run)


def receipt(status: DeploymentStatus | None = "received", status_url: str | None = STATUS_URL) -> Receipt:
    """A receipt that may be followed."""
    return Receipt("d-1", checksum_verified=True, status=status, status_url=status_url)


async def follow(
    targets: FakeTargets, start: Receipt, wait_for: WaitFor | None = "loaded", seconds: float = 5
) -> list[DeploymentStatus]:
    """Follow a deployment; return the statuses that were reported."""
    reported: list[DeploymentState] = []
    pauses = Pauses(first_seconds=0.001, longest_seconds=0.001)
    follower = Follower(targets.open(URL), reported.append, lambda *_: None, pauses)
    await follower.follow(start, wait_for=wait_for, seconds=seconds)
    return [one.status for one in reported]


async def test_the_status_is_requested_until_it_is_reached() -> None:
    """Every status is reported."""
    targets = FakeTargets(states=[state("received"), state("loading"), state("loaded")])

    assert ["received", "loading", "loaded"] == await follow(targets, receipt())
    assert [STATUS_URL] * 3 == targets.requested


async def test_a_later_status_is_enough() -> None:
    """Running is more than loaded."""
    assert ["running"] == await follow(FakeTargets(states=[state("running")]), receipt())


async def test_running_can_be_waited_for() -> None:
    """Loaded is one step before it if the receiver starts containers."""
    states: list[DeploymentState | Exception] = [state("loaded", will_run=True), state("running", will_run=True)]

    assert ["loaded", "running"] == await follow(FakeTargets(states=states), receipt(), "running")


@pytest.mark.parametrize(
    "start", [receipt("loaded"), receipt("running"), receipt(None, None), receipt("received", None)]
)
async def test_nothing_is_requested_without_need(start: Receipt) -> None:
    """The status is reached already, or the receiver reports none."""
    targets = FakeTargets()

    assert [] == await follow(targets, start)
    assert [] == targets.requested


async def test_received_needs_no_request() -> None:
    """The receipt has that status."""
    assert [] == await follow(FakeTargets(), receipt("received"), "received")


async def test_the_status_is_requested_if_the_receipt_has_none() -> None:
    """The receipt has the URL for it."""
    assert ["received"] == await follow(FakeTargets(states=[state("received")]), receipt(None), "received")


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (DeploymentState("d-1", "failed"), "it gives no reason"),
        (DeploymentState("d-1", "failed", error_message="no space"), "no space"),
        (DeploymentState("d-1", "failed", error_code="BUILD_FAILED", error_message="x"), "BUILD_FAILED: x"),
    ],
)
async def test_a_failed_deployment_ends_it(failed: DeploymentState, words: str) -> None:
    """The message has the receiver's own."""
    with pytest.raises(TransferError, match=f"accepted the package but could not deploy it: {words}"):
        await follow(FakeTargets(states=[state("loading"), failed]), receipt())


async def test_a_failed_receipt_is_a_failure() -> None:
    """There is no URL to request the reason."""
    with pytest.raises(TransferError, match="it gives no reason"):
        await follow(FakeTargets(), receipt("failed", None), "received")


async def test_the_reason_of_a_failed_receipt_is_requested() -> None:
    """A retry may find a deployment that has failed meanwhile."""
    failed = DeploymentState("d-1", "failed", error_message="no space")
    with pytest.raises(TransferError, match="no space"):
        await follow(FakeTargets(states=[failed]), receipt("failed"), "received")


async def test_a_receiver_that_starts_nothing_is_reported_soon() -> None:
    """Running will never be reached, so the wait ends."""
    with pytest.raises(TransferError, match="starts no containers") as caught:
        await follow(FakeTargets(states=[state("loading"), state("loaded")]), receipt(), "running")

    assert "--run" in caught.value.recovery


async def test_it_ends_at_the_deadline() -> None:
    """The last status is in the message."""
    with pytest.raises(TransferError, match="after 3600 s it is loading, not loaded") as caught:
        await follow(LateTargets(states=[state("loading")]), receipt(), seconds=LATE_SECONDS)

    assert "the receiver has the package, verified, as deployment d-1 and continues with it" in caught.value.message
    assert f"deployment-sender status d-1 --to {URL}" in caught.value.recovery


async def test_the_receivers_reason_is_reported_at_the_deadline() -> None:
    """Its engine may be down, and the deployment continues when that is back."""
    waiting = replace(state("received"), error_code="DOCKER_UNAVAILABLE", error_message="no engine")
    with pytest.raises(TransferError, match=r"received, not running \(DOCKER_UNAVAILABLE: no engine\)"):
        await follow(LateTargets(states=[waiting]), receipt(), "running", seconds=LATE_SECONDS)


@pytest.mark.parametrize(
    ("states", "reported"),
    [
        ([state("loading"), state("loaded")], ["loading", "loaded"]),
        ([state("loaded", will_run=True), state("running", will_run=True)], ["loaded", "running"]),
    ],
)
async def test_the_default_is_the_last_status_of_the_receiver(
    states: list[DeploymentState | Exception], reported: list[DeploymentStatus]
) -> None:
    """It is running if the receiver starts containers, else loaded; a receipt does not have which."""
    assert reported == await follow(FakeTargets(states=states), receipt("loaded"), None)


async def test_a_deployment_that_was_replaced_is_reported() -> None:
    """The requested status will not be reached."""
    with pytest.raises(TransferError, match="d-1 was replaced by a later one") as caught:
        await follow(FakeTargets(states=[state("replaced")]), receipt(), "running")

    assert not caught.value.retry


async def test_a_package_that_was_replaced_was_received() -> None:
    """That is all that was requested."""
    assert [] == await follow(FakeTargets(), receipt("replaced"), "received")


async def test_requests_slow_down_with_time() -> None:
    """A long load is not polled twenty times a second."""
    targets = FakeTargets(states=[state("loading")])
    with pytest.raises(TransferError):
        await follow(targets, receipt(), seconds=1)

    assert 3 <= len(targets.requested) <= 7


async def test_a_request_that_fails_briefly_is_repeated() -> None:
    """A receiver may restart while it is followed."""
    assert ["loaded"] == await follow(FakeTargets(states=[AWAY, AWAY, state("loaded")]), receipt())


async def test_an_unreachable_receiver_is_polled_until_the_deadline() -> None:
    """It has the package; the message has the last error."""
    with pytest.raises(TransferError, match="; the receiver does not respond now: connection refused"):
        await follow(LateTargets(states=[AWAY]), receipt(), seconds=LATE_SECONDS)


async def test_a_receiver_may_be_unreachable_for_long() -> None:
    """Only the deadline ends the wait, and no number of requests."""
    assert ["loaded"] == await follow(FakeTargets(states=[*[AWAY] * 50, state("loaded")]), receipt(), seconds=60)


async def test_a_refused_request_is_not_repeated() -> None:
    """A receiver that does not know the deployment will not know it later."""
    targets = FakeTargets(states=[TransferError("404", retry=False)])
    with pytest.raises(TransferError, match="as deployment d-1, but the status of the deployment is not known: 404"):
        await follow(targets, receipt())

    assert 1 == len(targets.requested)


async def test_cancelling_ends_it_at_once() -> None:
    """No pause is waited out, and nothing more is requested."""
    targets = FakeTargets(states=[state("loading")])
    following = asyncio.ensure_future(follow(targets, receipt()))
    await eventually(lambda: targets.requested)
    following.cancel()
    requested = len(targets.requested)
    with pytest.raises(asyncio.CancelledError):
        await following

    assert requested == len(targets.requested)

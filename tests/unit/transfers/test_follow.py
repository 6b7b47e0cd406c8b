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


async def test_it_asks_until_the_status_is_there() -> None:
    """Every status is reported."""
    targets = FakeTargets(states=[state("received"), state("loading"), state("loaded")])

    assert ["received", "loading", "loaded"] == await follow(targets, receipt())
    assert [STATUS_URL] * 3 == targets.requested


async def test_a_later_status_will_do() -> None:
    """Who waits for loaded is content with running."""
    assert ["running"] == await follow(FakeTargets(states=[state("running")]), receipt())


async def test_running_can_be_waited_for() -> None:
    """Loaded is on the way to it where the receiver starts containers."""
    states: list[DeploymentState | Exception] = [state("loaded", will_run=True), state("running", will_run=True)]

    assert ["loaded", "running"] == await follow(FakeTargets(states=states), receipt(), "running")


@pytest.mark.parametrize(
    "start", [receipt("loaded"), receipt("running"), receipt(None, None), receipt("received", None)]
)
async def test_nothing_is_asked_where_nothing_is_open(start: Receipt) -> None:
    """The status is reached already, or the receiver tells none."""
    targets = FakeTargets()

    assert [] == await follow(targets, start)
    assert [] == targets.requested


async def test_received_needs_no_question() -> None:
    """The receipt says so."""
    assert [] == await follow(FakeTargets(), receipt("received"), "received")


async def test_a_receipt_without_a_status_is_asked_about() -> None:
    """Where there is an address to ask, it is asked."""
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
    """The receiver's own words are reported."""
    with pytest.raises(TransferError, match=f"accepted the package but could not deploy it: {words}"):
        await follow(FakeTargets(states=[state("loading"), failed]), receipt())


async def test_a_failed_receipt_is_a_failure() -> None:
    """Also where there is no address to ask why."""
    with pytest.raises(TransferError, match="it gives no reason"):
        await follow(FakeTargets(), receipt("failed", None), "received")


async def test_a_failed_receipt_is_asked_why() -> None:
    """A retry may meet a deployment that has failed meanwhile."""
    failed = DeploymentState("d-1", "failed", error_message="no space")
    with pytest.raises(TransferError, match="no space"):
        await follow(FakeTargets(states=[failed]), receipt("failed"), "received")


async def test_a_receiver_that_starts_nothing_is_reported_soon() -> None:
    """Running will never come, so nobody waits for it."""
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
    """As its engine may be down, and it goes on when that answers."""
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
async def test_as_far_as_the_receiver_goes(
    states: list[DeploymentState | Exception], reported: list[DeploymentStatus]
) -> None:
    """Running where it starts containers, else loaded; a receipt alone does not say which."""
    assert reported == await follow(FakeTargets(states=states), receipt("loaded"), None)


async def test_a_deployment_that_was_replaced_is_reported() -> None:
    """What was waited for is not so any more."""
    with pytest.raises(TransferError, match="d-1 was replaced by a later one") as caught:
        await follow(FakeTargets(states=[state("replaced")]), receipt(), "running")

    assert not caught.value.retry


async def test_a_package_that_was_replaced_was_received() -> None:
    """Who waits for no more has it."""
    assert [] == await follow(FakeTargets(), receipt("replaced"), "received")


async def test_questions_come_more_slowly_with_time() -> None:
    """A long load is not asked for twenty times a second."""
    targets = FakeTargets(states=[state("loading")])
    with pytest.raises(TransferError):
        await follow(targets, receipt(), seconds=1)

    assert 3 <= len(targets.requested) <= 7


async def test_a_question_that_fails_briefly_is_asked_again() -> None:
    """A receiver may restart while it is followed."""
    assert ["loaded"] == await follow(FakeTargets(states=[AWAY, AWAY, state("loaded")]), receipt())


async def test_a_receiver_that_stays_away_is_asked_until_the_deadline() -> None:
    """It has the package, and what keeps it from answering is reported."""
    with pytest.raises(TransferError, match="; the receiver does not respond now: connection refused"):
        await follow(LateTargets(states=[AWAY]), receipt(), seconds=LATE_SECONDS)


async def test_a_receiver_that_is_away_for_long_is_waited_for() -> None:
    """It is the deadline that ends it, and no number of questions."""
    assert ["loaded"] == await follow(FakeTargets(states=[*[AWAY] * 50, state("loaded")]), receipt(), seconds=60)


async def test_a_refused_question_is_not_asked_again() -> None:
    """A receiver that does not know the deployment will not know it later."""
    targets = FakeTargets(states=[TransferError("404", retry=False)])
    with pytest.raises(TransferError, match="as deployment d-1, but the status of the deployment is not known: 404"):
        await follow(targets, receipt())

    assert 1 == len(targets.requested)


async def test_cancelling_ends_it_at_once() -> None:
    """Nobody waits for a pause to end, and nothing is asked for any more."""
    targets = FakeTargets(states=[state("loading")])
    following = asyncio.ensure_future(follow(targets, receipt()))
    await eventually(lambda: targets.requested)
    following.cancel()
    asked = len(targets.requested)
    with pytest.raises(asyncio.CancelledError):
        await following

    assert asked == len(targets.requested)

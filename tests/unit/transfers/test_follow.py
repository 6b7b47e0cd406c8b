"""Following a deployment: which statuses end it, and how long."""

import asyncio
from dataclasses import replace

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import DeploymentStatus
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import WaitFor
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import DeploymentState, Receipt
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.follow import Follower
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.transfers.retrying import Pauses
from support.eventually import eventually
from support.sending.uploader import LATE_SECONDS, FakeUploader, LateUploader

URL = "http://receiver:8001"
STATUS_URL = f"{URL}/deployments/d-1"
AWAY = DeploymentSenderError(ErrorCode.REMOTE_UNREACHABLE, "nobody there")


def state(status: DeploymentStatus, *, will_run: bool = False) -> DeploymentState:
    """A deployment in a status."""
    return DeploymentState("d-1", status, will_run=will_run)


def receipt(status: DeploymentStatus | None = "received", status_url: str | None = STATUS_URL) -> Receipt:
    """A receipt that may be followed."""
    return Receipt("d-1", checksum_verified=True, status=status, status_url=status_url)


async def follow(
    uploader: FakeUploader, start: Receipt, wait_for: WaitFor | None = "loaded", seconds: float = 5
) -> list[DeploymentStatus]:
    """Follow a deployment; return the statuses that were told."""
    told: list[DeploymentState] = []
    follower = Follower(uploader, URL, told.append, lambda *_: None, Pauses(first_seconds=0.001, longest_seconds=0.001))
    await follower.follow(start, wait_for=wait_for, seconds=seconds)
    return [one.status for one in told]


async def test_it_asks_until_the_status_is_there() -> None:
    """Every status is told."""
    uploader = FakeUploader(states=[state("received"), state("loading"), state("loaded")])

    assert ["received", "loading", "loaded"] == await follow(uploader, receipt())
    assert [STATUS_URL] * 3 == uploader.asked


async def test_a_later_status_will_do() -> None:
    """Who waits for loaded is content with running."""
    assert ["running"] == await follow(FakeUploader(states=[state("running")]), receipt())


async def test_running_can_be_waited_for() -> None:
    """Loaded is on the way to it where the receiver starts containers."""
    states: list[DeploymentState | Exception] = [state("loaded", will_run=True), state("running", will_run=True)]

    assert ["loaded", "running"] == await follow(FakeUploader(states=states), receipt(), "running")


@pytest.mark.parametrize(
    "start", [receipt("loaded"), receipt("running"), receipt(None, None), receipt("received", None)]
)
async def test_nothing_is_asked_where_nothing_is_open(start: Receipt) -> None:
    """The status is reached already, or the receiver tells none."""
    uploader = FakeUploader()

    assert [] == await follow(uploader, start)
    assert [] == uploader.asked


async def test_received_needs_no_question() -> None:
    """The receipt says so."""
    assert [] == await follow(FakeUploader(), receipt("received"), "received")


async def test_a_receipt_without_a_status_is_asked_about() -> None:
    """Where there is an address to ask, it is asked."""
    assert ["received"] == await follow(FakeUploader(states=[state("received")]), receipt(None), "received")


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (DeploymentState("d-1", "failed"), "it does not say why"),
        (DeploymentState("d-1", "failed", error_message="no space"), "no space"),
        (DeploymentState("d-1", "failed", error_code="BUILD_FAILED", error_message="x"), "BUILD_FAILED: x"),
    ],
)
async def test_a_failed_deployment_ends_it(failed: DeploymentState, words: str) -> None:
    """The receiver's own words are told."""
    with pytest.raises(DeploymentSenderError, match=f"could not deploy it: {words}") as caught:
        await follow(FakeUploader(states=[state("loading"), failed]), receipt())

    assert ErrorCode.TRANSFER_FAILED is caught.value.code


async def test_a_failed_receipt_is_a_failure() -> None:
    """Also where there is no address to ask why."""
    with pytest.raises(DeploymentSenderError, match="it does not say why"):
        await follow(FakeUploader(), receipt("failed", None), "received")


async def test_a_failed_receipt_is_asked_why() -> None:
    """A retry may meet a deployment that has failed meanwhile."""
    failed = DeploymentState("d-1", "failed", error_message="no space")
    with pytest.raises(DeploymentSenderError, match="no space"):
        await follow(FakeUploader(states=[failed]), receipt("failed"), "received")


async def test_a_receiver_that_starts_nothing_is_told_soon() -> None:
    """Running will never come, so nobody waits for it."""
    with pytest.raises(DeploymentSenderError, match="starts no containers") as caught:
        await follow(FakeUploader(states=[state("loading"), state("loaded")]), receipt(), "running")

    assert "--run" in caught.value.recovery


async def test_it_ends_at_the_deadline() -> None:
    """The last status is in the message."""
    with pytest.raises(DeploymentSenderError, match="after 3600 s it is loading, not loaded") as caught:
        await follow(LateUploader(states=[state("loading")]), receipt(), seconds=LATE_SECONDS)

    assert ErrorCode.TRANSFER_FAILED is caught.value.code
    assert "the receiver has the package, verified, as deployment d-1 and goes on with it" in caught.value.message
    assert f"deployment-sender status d-1 --to {URL}" in caught.value.recovery


async def test_the_receivers_reason_is_told_at_the_deadline() -> None:
    """As its engine may be down, and it goes on when that answers."""
    waiting = replace(state("received"), error_code="DOCKER_UNAVAILABLE", error_message="no engine")
    with pytest.raises(DeploymentSenderError, match=r"received, not running \(DOCKER_UNAVAILABLE: no engine\)"):
        await follow(LateUploader(states=[waiting]), receipt(), "running", seconds=LATE_SECONDS)


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([state("loading"), state("loaded")], ["loading", "loaded"]),
        ([state("loaded", will_run=True), state("running", will_run=True)], ["loaded", "running"]),
    ],
)
async def test_as_far_as_the_receiver_goes(
    states: list[DeploymentState | Exception], told: list[DeploymentStatus]
) -> None:
    """Running where it starts containers, else loaded; a receipt alone does not say which."""
    assert told == await follow(FakeUploader(states=states), receipt("loaded"), None)


async def test_a_deployment_that_was_replaced_is_told() -> None:
    """What was waited for is not so any more."""
    with pytest.raises(DeploymentSenderError, match="d-1 was replaced by a later one") as caught:
        await follow(FakeUploader(states=[state("replaced")]), receipt(), "running")

    assert (ErrorCode.TRANSFER_FAILED, False) == (caught.value.code, caught.value.retry)


async def test_a_package_that_was_replaced_was_received() -> None:
    """Who waits for no more has it."""
    assert [] == await follow(FakeUploader(), receipt("replaced"), "received")


async def test_questions_come_more_slowly_with_time() -> None:
    """A long load is not asked for twenty times a second."""
    uploader = FakeUploader(states=[state("loading")])
    with pytest.raises(DeploymentSenderError):
        await follow(uploader, receipt(), seconds=1)

    assert 3 <= len(uploader.asked) <= 7


async def test_a_question_that_fails_briefly_is_asked_again() -> None:
    """A receiver may restart while it is followed."""
    assert ["loaded"] == await follow(FakeUploader(states=[AWAY, AWAY, state("loaded")]), receipt())


async def test_a_receiver_that_stays_away_is_asked_until_the_deadline() -> None:
    """It has the package, and what keeps it from answering is told."""
    with pytest.raises(DeploymentSenderError, match="; it does not answer now: nobody there") as caught:
        await follow(LateUploader(states=[AWAY]), receipt(), seconds=LATE_SECONDS)

    assert ErrorCode.TRANSFER_FAILED is caught.value.code


async def test_a_receiver_that_is_away_for_long_is_waited_for() -> None:
    """It is the deadline that ends it, and no number of questions."""
    assert ["loaded"] == await follow(FakeUploader(states=[*[AWAY] * 50, state("loaded")]), receipt(), seconds=60)


async def test_a_refused_question_is_not_asked_again() -> None:
    """A receiver that does not know the deployment will not know it later."""
    uploader = FakeUploader(states=[DeploymentSenderError(ErrorCode.TRANSFER_FAILED, "404", retry=False)])
    with pytest.raises(DeploymentSenderError, match="as deployment d-1, but what became of it is not known: 404"):
        await follow(uploader, receipt())

    assert 1 == len(uploader.asked)


async def test_cancelling_ends_it_at_once() -> None:
    """Nobody waits for a pause to end, and nothing is asked for any more."""
    uploader = FakeUploader(states=[state("loading")])
    following = asyncio.ensure_future(follow(uploader, receipt()))
    await eventually(lambda: uploader.asked)
    following.cancel()
    asked = len(uploader.asked)
    with pytest.raises(asyncio.CancelledError):
        await following

    assert asked == len(uploader.asked)

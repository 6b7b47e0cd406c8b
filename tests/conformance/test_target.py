"""What every `DeployTarget` does: the fake, and HTTP with the real receiver and with a scripted one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    ChecksumMismatchError,
    InvalidInputError,
    PackageDamagedError,
    PackageTooLargeError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import DeployTarget, Receipt
from support.eventually import eventually
from support.sending.worlds import FakeWorld, RealWorld, ScriptedWorld, World


@pytest.fixture(params=[FakeWorld, RealWorld, ScriptedWorld], ids=["fake", "receiver", "scripted receiver"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Every kind of receiver in turn."""
    world: World = await asyncio.to_thread(request.param, tmp_path)
    yield world
    await world.close()


async def deploy(world: World, target: DeployTarget) -> Receipt:
    """Send the world's package."""
    with world.content() as content:
        return await target.deploy(content, lambda _: None)


async def test_a_package_arrives_whole(world: World) -> None:
    """The receipt says that it is verified; the file stays open, and its position where it was."""
    target = await world.accepting()
    with world.content() as content:
        content.file.seek(17)
        receipt = await target.deploy(content, lambda _: None)

        assert 17 == content.file.tell()
    assert receipt.checksum_verified
    assert [world.package] == world.received()


async def test_progress_counts_the_bytes_of_the_file(world: World) -> None:
    """It starts with 0 and ends with the size of the file."""
    target = await world.accepting()
    sent: list[int] = []
    with world.content() as content:
        await target.deploy(content, sent.append)

    assert (0, len(world.package)) == (sent[0], sent[-1])
    assert sorted(set(sent)) == sent


async def test_a_package_that_is_sent_again_is_the_same_deployment(world: World) -> None:
    """Nothing is deployed twice."""
    target = await world.accepting()
    first, second = await deploy(world, target), await deploy(world, target)

    assert first.deployment_id == second.deployment_id


async def test_a_deployment_has_a_status(world: World) -> None:
    """The receipt is all that is needed to request it."""
    target = await world.accepting()
    receipt = await deploy(world, target)
    state = await target.status(receipt)

    assert receipt.deployment_id == state.deployment_id


async def test_a_receiver_describes_itself(world: World) -> None:
    """The description has a version."""
    target = await world.accepting()
    info = await target.info()

    assert info is not None
    assert info.version


async def test_an_allowed_receiver_passes_the_check(world: World) -> None:
    """Nothing is sent for it."""
    await (await world.accepting()).check()

    assert [] == world.received()


async def test_a_forbidden_receiver_does_not_pass_the_check(world: World) -> None:
    """That is a mistake in the input or the settings."""
    with pytest.raises(InvalidInputError, match="allowed_receivers"):
        await (await world.forbidden()).check()


async def test_an_unreachable_receiver_is_worth_a_retry(world: World) -> None:
    """Every request fails the same way."""
    target = await world.unreachable()
    with pytest.raises(ReceiverUnreachableError) as deploying:
        await deploy(world, target)
    with pytest.raises(ReceiverUnreachableError) as describing:
        await target.info()
    with pytest.raises(ReceiverUnreachableError) as asking:
        await target.status(Receipt("d-1", checksum_verified=True, status_url=f"{target.url}/deployments/d-1"))

    assert [True] * 3 == [error.value.retry for error in (deploying, describing, asking)]


async def test_a_refusal_is_not_worth_a_retry(world: World) -> None:
    """The receiver has nothing."""
    target = await world.refusing()
    with pytest.raises(TransferError) as caught:
        await deploy(world, target)

    assert not caught.value.retry


async def test_a_package_over_the_limit_is_too_large(world: World) -> None:
    """A retry would not help."""
    target = await world.limited()
    with pytest.raises(PackageTooLargeError) as caught:
        await deploy(world, target)

    assert not caught.value.retry


async def test_another_checksum_is_a_mismatch(world: World) -> None:
    """The receiver has computed it; a retry would not help."""
    target = await world.mismatching()
    with (
        world.content(identity={"checksum": "ab" * 32}) as content,
        pytest.raises(ChecksumMismatchError) as caught,
    ):
        await target.deploy(content, lambda _: None)

    assert not caught.value.retry


async def test_the_end_is_sent_after_the_verification(world: World) -> None:
    """Until then the receiver does not have the package."""
    target = await world.accepting()
    verified = asyncio.Event()
    sent: list[int] = []
    with world.content(verified=verified.wait) as content:
        deploying = asyncio.ensure_future(target.deploy(content, sent.append))
        await eventually(lambda: sent)

        assert not deploying.done()
        assert len(world.package) not in sent
        verified.set()
        await deploying
    assert [world.package] == world.received()


async def test_a_failed_verification_is_raised(world: World) -> None:
    """The receiver never has the package whole."""
    target = await world.accepting()
    damaged = PackageDamagedError("another checksum than when it was made")

    async def verified() -> None:
        raise damaged

    with world.content(verified=verified) as content, pytest.raises(PackageDamagedError) as caught:
        await target.deploy(content, lambda _: None)
    await eventually(world.is_idle)

    assert damaged is caught.value
    assert [] == world.received()


async def test_a_cancelled_deploy_leaves_nothing_behind(world: World) -> None:
    """Neither here nor at the receiver; the target can be used again."""
    target = await world.accepting()
    sent: list[int] = []
    with world.content(verified=asyncio.Event().wait) as content:
        deploying = asyncio.ensure_future(target.deploy(content, sent.append))
        await eventually(lambda: sent)
        deploying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deploying
    await eventually(world.is_idle)

    assert [] == world.received()
    assert (await deploy(world, target)).checksum_verified


@pytest.mark.parametrize("status_url", ["http://127.0.0.2:8001/deployments/d-1", "//elsewhere/deployments/d-1"])
async def test_a_status_url_of_another_receiver_is_not_requested(world: World, status_url: str) -> None:
    """A signed request would go to a machine that nobody has named."""
    target = await world.accepting()
    receipt = await deploy(world, target)
    with pytest.raises(TransferError, match="not requested") as caught:
        await target.status(replace(receipt, status_url=status_url))

    assert not caught.value.retry


async def test_a_closed_target_refuses(world: World) -> None:
    """Closing it twice is safe; other targets are still open."""
    targets = await world.targets()
    target, other = targets.open("http://127.0.0.1:1"), targets.open("http://127.0.0.1:1")
    await target.close()
    await target.close()
    with pytest.raises(TransferError, match="closed") as caught:
        await deploy(world, target)

    assert not caught.value.retry
    await other.check()


async def test_closing_the_targets_ends_calls_in_progress(world: World) -> None:
    """Closing twice is safe, and later calls fail, too."""
    target = await world.accepting()
    sent: list[int] = []
    with world.content(verified=asyncio.Event().wait) as content:
        deploying = asyncio.ensure_future(target.deploy(content, sent.append))
        await eventually(lambda: sent)
        await world.close_targets()
        await world.close_targets()
        with pytest.raises(TransferError):
            await deploying
        with pytest.raises(TransferError, match="closed") as caught:
            await target.deploy(content, lambda _: None)

    assert not caught.value.retry
    assert [] == world.received()

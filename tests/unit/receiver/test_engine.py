"""The engine that the receiver waits for."""

import asyncio

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import Engine
from support.engine.engines import FakeEngine
from support.receiver.in_process import until


class Opening:
    """Opens an engine, after some failures.

    Attributes:
        asked: How often it was asked to.
        release: Set it to let an opening end.
    """

    def __init__(self, *failures: DeploymentSenderError) -> None:
        self.engine = FakeEngine()
        self.asked = 0
        self.release = asyncio.Event()
        self.release.set()
        self._failures = list(failures)

    async def __call__(self) -> ContainerEngine:
        self.asked += 1
        await self.release.wait()
        if self._failures:
            raise self._failures.pop(0)
        return self.engine


def away() -> DeploymentSenderError:
    """What an engine that is not there makes of it."""
    return DeploymentSenderError(ErrorCode.DOCKER_UNAVAILABLE, "not there")


async def test_it_is_opened_once_when_it_is_needed() -> None:
    """And closed at the end, twice if need be."""
    opening = Opening()
    engine = Engine(opening)
    assert 0 == opening.asked
    assert await engine.answering() is await engine.answering() is await engine.opened()
    assert 1 == opening.asked
    await engine.close()
    await engine.close()
    assert ["close", "close"] == opening.engine.calls


async def test_one_that_could_not_be_opened_is_opened_again() -> None:
    """A failed open keeps nothing."""
    opening = Opening(away())
    engine = Engine(opening)
    with pytest.raises(DeploymentSenderError, match="not there"):
        await engine.answering()
    assert opening.engine is await engine.answering()
    await engine.close()


async def test_it_is_waited_for_and_each_time_it_is_said_why() -> None:
    """Also once it was there and went away."""
    opening = Opening(away(), away())
    engine, heard = Engine(opening, pauses_seconds=(0.001, 0.002)), list[str]()

    async def hear(error: DeploymentSenderError) -> None:
        heard.append(error.message)

    assert opening.engine is await engine.awaited(hear)
    opening.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "gone", times=3)
    assert opening.engine is await engine.awaited(hear)
    assert ["not there"] * 2 + ["gone"] * 3 == heard
    await engine.close()


async def test_it_is_logged_once_why_it_cannot_be_used(caplog: pytest.LogCaptureFixture) -> None:
    """And again when it answered meanwhile."""
    opening = Opening(away(), away())
    engine = Engine(opening, pauses_seconds=(0.001,))

    async def hear(_: DeploymentSenderError) -> None:
        pass

    await engine.awaited(hear)
    assert ["the engine cannot be used for now: not there"] == caplog.messages
    opening.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "not there", times=3)
    await engine.awaited(hear)
    assert ["the engine cannot be used for now: not there"] * 2 == caplog.messages
    await engine.close()


async def test_one_that_cannot_be_opened_at_all_is_waited_for() -> None:
    """Nothing is lost by a typing error in a setting: another start may know better."""
    wrong = DeploymentSenderError(ErrorCode.VALIDATION_ERROR, "no address")
    opening, heard = Opening(wrong), list[ErrorCode]()
    engine = Engine(opening, pauses_seconds=(0.001,))

    async def hear(error: DeploymentSenderError) -> None:
        heard.append(error.code)

    await engine.awaited(hear)
    assert [ErrorCode.VALIDATION_ERROR] == heard
    await engine.close()


async def test_many_who_ask_at_once_share_one_question() -> None:
    """And one of them who gives up takes it from nobody."""
    opening = Opening()
    opening.release.clear()
    engine = Engine(opening)
    asking = [asyncio.create_task(engine.answering()) for _ in range(5)]
    await until(lambda: opening.asked == 1)
    asking[0].cancel()
    await asyncio.wait(asking[:1])
    opening.release.set()
    assert {opening.engine} == set(await asyncio.gather(*asking[1:]))
    assert 1 == opening.asked
    await engine.close()


async def test_a_question_under_way_ends_with_it() -> None:
    """Nobody hears of it, and nothing is left."""
    opening = Opening()
    opening.release.clear()
    engine = Engine(opening)
    asking = asyncio.create_task(engine.answering())
    await until(lambda: opening.asked == 1)
    asking.cancel()
    await engine.close()
    await asyncio.wait([asking])
    assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "asking the engine"]

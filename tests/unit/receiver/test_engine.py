"""The engine that all parts of the receiver share."""

import asyncio

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    EngineUnavailableError,
    ErrorCode,
    InvalidInputError,
    OperationError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import ContainerEngine
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.engine import SharedEngine
from support.engine.engines import FakeEngine
from support.eventually import eventually


class Opening:
    """Opens an engine, after some errors.

    Attributes:
        calls: How often it was called.
        release: Set it to let the calls return.
    """

    def __init__(self, *errors: OperationError) -> None:
        self.engine = FakeEngine()
        self.calls = 0
        self.release = asyncio.Event()
        self.release.set()
        self._errors = list(errors)

    async def __call__(self) -> ContainerEngine:
        self.calls += 1
        await self.release.wait()
        if self._errors:
            raise self._errors.pop(0)
        return self.engine


def absent() -> EngineUnavailableError:
    """Return the error of an engine that does not respond."""
    return EngineUnavailableError("not there")


async def ignore(_: OperationError) -> None:
    """Do nothing about an error."""


async def test_it_is_opened_once_when_it_is_first_needed() -> None:
    """And closed at the end; a second close does nothing new."""
    opening = Opening()
    engine = SharedEngine(opening)
    assert 0 == opening.calls
    assert await engine.available() is await engine.available() is await engine.open()
    assert 1 == opening.calls
    await engine.close()
    await engine.close()
    assert ["close", "close"] == opening.engine.calls


async def test_an_engine_that_could_not_be_opened_is_opened_again() -> None:
    """An error is not cached."""
    opening = Opening(absent())
    engine = SharedEngine(opening)
    with pytest.raises(EngineUnavailableError, match="not there"):
        await engine.available()
    assert opening.engine is await engine.available()
    await engine.close()


async def test_an_absent_engine_is_waited_for_and_each_attempt_reports_why() -> None:
    """Also after it responded and went away."""
    opening = Opening(absent(), absent())
    engine, reported = SharedEngine(opening, pauses_seconds=(0.001, 0.002)), list[str]()

    async def report(error: OperationError) -> None:
        reported.append(error.message)

    assert opening.engine is await engine.wait_until_available(report)
    opening.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "gone", times=3)
    assert opening.engine is await engine.wait_until_available(report)
    assert ["not there"] * 2 + ["gone"] * 3 == reported
    await engine.close()


async def test_the_reason_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """And again after the engine responded meanwhile."""
    opening = Opening(absent(), absent())
    engine = SharedEngine(opening, pauses_seconds=(0.001,))

    await engine.wait_until_available(ignore)
    assert ["the engine is unavailable: not there"] == caplog.messages
    opening.engine.fail("ping", ErrorCode.DOCKER_UNAVAILABLE, "not there", times=3)
    await engine.wait_until_available(ignore)
    assert ["the engine is unavailable: not there"] * 2 == caplog.messages
    await engine.close()


async def test_an_engine_with_a_wrong_address_is_waited_for() -> None:
    """A typing error in a setting must not end deployments: another start of the receiver may have it right."""
    opening, reported = Opening(InvalidInputError("no address")), list[OperationError]()
    engine = SharedEngine(opening, pauses_seconds=(0.001,))

    async def report(error: OperationError) -> None:
        reported.append(error)

    await engine.wait_until_available(report)
    assert [InvalidInputError] == [type(error) for error in reported]
    await engine.close()


async def test_concurrent_callers_share_one_request() -> None:
    """A caller that is cancelled does not cancel it for the others."""
    opening = Opening()
    opening.release.clear()
    engine = SharedEngine(opening)
    callers = [asyncio.create_task(engine.available()) for _ in range(5)]
    await eventually(lambda: opening.calls == 1)
    callers[0].cancel()
    await asyncio.wait(callers[:1])
    opening.release.set()
    assert {opening.engine} == set(await asyncio.gather(*callers[1:]))
    assert 1 == opening.calls
    await engine.close()


async def test_closing_cancels_a_request_under_way() -> None:
    """No task is left, and no error is logged."""
    opening = Opening()
    opening.release.clear()
    engine = SharedEngine(opening)
    caller = asyncio.create_task(engine.available())
    await eventually(lambda: opening.calls == 1)
    caller.cancel()
    await engine.close()
    await asyncio.wait([caller])
    assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "pinging the engine"]

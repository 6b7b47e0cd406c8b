"""Work that is repeated in the background."""

import asyncio

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.periodic import PeriodicTask


async def test_it_repeats_after_an_unexpected_error(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback and the name of the work."""
    calls, repeated = list[int](), asyncio.Event()

    async def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("not expected")
        repeated.set()

    periodic = PeriodicTask(work, 0.001, "watching containers")
    periodic.start()
    await repeated.wait()
    await periodic.close()

    assert "unexpected error while watching containers" in caplog.text
    assert "RuntimeError: not expected" in caplog.text


async def test_closing_it_cancels_the_work_under_way() -> None:
    """And waits until the work has ended."""
    begun, ended = asyncio.Event(), list[bool]()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    periodic = PeriodicTask(work, 3600, "waiting")
    periodic.start()
    await begun.wait()
    await periodic.close()
    await periodic.close()

    assert [True] == ended


async def test_it_can_be_closed_before_it_is_started() -> None:
    """A receiver may fail before it starts one."""
    periodic = PeriodicTask(lambda: asyncio.sleep(0), 3600, "sleeping")

    await periodic.close()
    periodic.start()
    await periodic.close()

    assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "sleeping"]

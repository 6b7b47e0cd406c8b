"""Work that cannot be stopped."""

import asyncio
import threading

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.ends import ended, in_own_thread


async def test_work_answers_from_its_own_thread() -> None:
    """It has the name that was wanted, and holds no program up that ends."""
    thread = await in_own_thread(threading.current_thread, "worker")

    assert ("worker", True) == (thread.name, thread.daemon)


async def test_what_work_raises_comes_out() -> None:
    """Where it is waited for."""

    def fail() -> None:
        raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        await in_own_thread(fail, "worker")


async def test_more_work_than_the_loops_executor_has_threads() -> None:
    """Nobody waits for somebody else's."""
    together = threading.Barrier(50)

    assert 50 == len(set(await asyncio.gather(*(in_own_thread(together.wait, "worker") for _ in range(50)))))


async def test_a_cancellation_comes_out_when_the_work_has_ended() -> None:
    """It is told to stop at each, and waited for."""
    stop, stops = threading.Event(), []
    work = in_own_thread(stop.wait, "worker")

    def told() -> None:
        stops.append(work.done())
        if len(stops) == 2:
            stop.set()

    waiting = asyncio.ensure_future(ended([work], told))
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ([False, False], True) == (stops, work.result())

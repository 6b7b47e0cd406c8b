"""Threads whose work cannot be stopped."""

import asyncio
import threading

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.workers import Workers, settled


async def test_a_call_answers_what_the_function_answers(workers: Workers) -> None:
    """Arguments go in, the result comes out."""
    assert await workers.run(divmod, 7, 2) == (3, 1)


async def test_what_the_function_raises_comes_out(workers: Workers) -> None:
    """As the same exception."""
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 7, 0)


async def test_a_cancelled_call_comes_back_once_its_thread_has_ended(workers: Workers) -> None:
    """Cancelled twice, and still not before."""
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    task = asyncio.create_task(workers.run(work))
    await asyncio.sleep(0.01)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_work_that_is_done_is_not_waited_for() -> None:
    """Its result is there at once."""
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work.set_result(3)
    assert await settled(work) == 3

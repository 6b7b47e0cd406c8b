"""Deadlines and threads: what ends when."""

import asyncio
import threading
import time

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.waiting import deadline, to_its_end


async def test_a_deadline_raises_what_it_was_given() -> None:
    """The body is cancelled, and the caller's own error comes out."""
    with pytest.raises(KeyError, match="late"):
        async with deadline(0.01, lambda: KeyError("late")):
            await asyncio.sleep(60)


async def test_a_body_in_time_is_left_alone() -> None:
    """Nothing happens."""
    async with deadline(5, lambda: KeyError("late")):
        await asyncio.sleep(0)


async def test_another_time_out_is_not_the_deadline() -> None:
    """A TimeoutError of the body's own passes through."""
    with pytest.raises(TimeoutError, match="inner"):
        async with deadline(5, lambda: KeyError("late")):
            raise TimeoutError("inner")


async def test_a_cancellation_is_not_the_deadline() -> None:
    """It passes through."""

    async def body() -> None:
        async with deadline(5, lambda: KeyError("late")):
            await asyncio.sleep(60)

    running = asyncio.ensure_future(body())
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_thread_answers() -> None:
    """Its result is the caller's."""
    assert 3 == await to_its_end(len, "abc")


async def test_a_thread_fails() -> None:
    """Its exception is the caller's."""
    with pytest.raises(ValueError, match="invalid literal"):
        await to_its_end(int, "x")


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_cancelled_thread_is_stopped_and_waited_for(cancellations: int) -> None:
    """However often it is cancelled, the thread has ended when the cancellation comes out."""
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        stopped.wait(5)
        time.sleep(0.05)
        ended.set()
        raise ValueError("nobody hears it")

    running = asyncio.ensure_future(to_its_end(work, stop=stopped.set))
    for _ in range(cancellations):
        await asyncio.sleep(0.01)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert ended.is_set()

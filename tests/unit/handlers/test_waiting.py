"""Deadlines and threads: what ends when."""

import asyncio
import threading
import time

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.handlers.waiting import Turn, deadline, to_its_end


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


async def test_who_only_waits_gives_its_turn_to_others() -> None:
    """And takes the next one that is free before it goes on."""
    turns = asyncio.Semaphore(1)
    async with Turn(turns) as turn:
        assert turns.locked()
        waiting = asyncio.ensure_future(turn.sleep(0))
        async with turns:
            await asyncio.sleep(0.01)
            assert not waiting.done()
        await waiting
        assert turns.locked()

    assert not turns.locked()


async def test_a_wait_that_is_broken_off_gives_no_turn_back_twice() -> None:
    """There are as many as before."""
    turns = asyncio.Semaphore(1)

    async def work() -> None:
        async with Turn(turns) as turn:
            await turn.sleep(60)

    working = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await turns.acquire()

    assert turns.locked()

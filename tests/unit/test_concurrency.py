"""Threads, deadlines and turns under cancellation."""

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.concurrency import (
    ThreadPool,
    Turn,
    deadline,
    result_when_done,
    retrieve_exception,
    run_in_thread,
    start_in_thread,
    wait_until_done,
)


@pytest.fixture
async def workers() -> AsyncIterator[ThreadPool]:
    """Threads, which end with the test."""
    made = ThreadPool(2)
    yield made
    await made.close()


async def test_work_answers_from_its_own_thread() -> None:
    """It has the name that was wanted, and holds no program up that ends."""
    thread = await start_in_thread(threading.current_thread, "worker")

    assert ("worker", True) == (thread.name, thread.daemon)


async def test_what_work_raises_comes_out() -> None:
    """Where it is waited for."""

    def fail() -> None:
        raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        await start_in_thread(fail, "worker")


async def test_more_work_than_the_loops_executor_has_threads() -> None:
    """Nobody waits for somebody else's."""
    together = threading.Barrier(50)

    assert 50 == len(set(await asyncio.gather(*(start_in_thread(together.wait, "worker") for _ in range(50)))))


async def test_a_cancellation_comes_out_when_the_work_has_ended() -> None:
    """It is told to stop at each, and waited for."""
    stop, stops = threading.Event(), []
    work = start_in_thread(stop.wait, "worker")

    def told() -> None:
        stops.append(work.done())
        if len(stops) == 2:
            stop.set()

    waiting = asyncio.ensure_future(wait_until_done([work], told))
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ([False, False], True) == (stops, work.result())


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
    assert 3 == await run_in_thread(len, "abc")


async def test_a_thread_fails() -> None:
    """Its exception is the caller's."""
    with pytest.raises(ValueError, match="invalid literal"):
        await run_in_thread(int, "x")


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_cancelled_thread_is_stopped_and_waited_for(cancellations: int) -> None:
    """However often it is cancelled, the thread has ended when the cancellation comes out."""
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        stopped.wait(5)
        time.sleep(0.05)
        ended.set()
        raise ValueError("nobody hears it")

    running = asyncio.ensure_future(run_in_thread(work, stop=stopped.set))
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


async def test_a_call_answers_what_the_function_answers(workers: ThreadPool) -> None:
    """Arguments go in, the result comes out."""
    assert await workers.run(divmod, 7, 2) == (3, 1)


async def test_what_the_function_raises_comes_out(workers: ThreadPool) -> None:
    """As the same exception."""
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 7, 0)


async def test_a_cancelled_call_comes_back_once_its_thread_has_ended(workers: ThreadPool) -> None:
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
    assert await result_when_done(work) == 3


async def test_a_retrieved_exception_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Futures that are not done, cancelled or without an exception are accepted, too."""
    loop = asyncio.get_running_loop()
    pending, cancelled, failed, done = (loop.create_future() for _ in range(4))
    cancelled.cancel()
    failed.set_exception(OSError("not awaited"))
    done.set_result(None)
    for future in (pending, cancelled, failed, done):
        retrieve_exception(future)
    del failed, future
    gc.collect()

    assert "" == caplog.text
    assert not pending.done()

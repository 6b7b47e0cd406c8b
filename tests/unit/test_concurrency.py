"""Threads, deadlines and turns, also when they are cancelled."""

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
    """Make a pool of threads, and close it after the test."""
    made = ThreadPool(2)
    yield made
    await made.close()


async def test_work_runs_in_its_own_thread() -> None:
    """The thread has the given name, and the program can end before it."""
    thread = await start_in_thread(threading.current_thread, "worker")

    assert ("worker", True) == (thread.name, thread.daemon)


async def test_an_exception_of_the_work_is_raised() -> None:
    """It is raised where the result is awaited."""

    def fail() -> None:
        raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        await start_in_thread(fail, "worker")


async def test_more_work_than_the_loops_executor_has_threads() -> None:
    """No work waits for other work."""
    together = threading.Barrier(50)

    assert 50 == len(set(await asyncio.gather(*(start_in_thread(together.wait, "worker") for _ in range(50)))))


async def test_a_cancellation_is_raised_when_the_work_has_ended() -> None:
    """Each cancellation calls `stop`, and the work is awaited."""
    stop, stops = threading.Event(), []
    work = start_in_thread(stop.wait, "worker")

    def on_stop() -> None:
        stops.append(work.done())
        if len(stops) == 2:
            stop.set()

    waiting = asyncio.ensure_future(wait_until_done([work], on_stop))
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ([False, False], True) == (stops, work.result())


async def test_a_deadline_raises_the_given_exception() -> None:
    """The body is cancelled, and the caller's exception is raised."""
    with pytest.raises(KeyError, match="late"):
        async with deadline(0.01, lambda: KeyError("late")):
            await asyncio.sleep(60)


async def test_a_body_in_time_is_not_cancelled() -> None:
    """The deadline does nothing."""
    async with deadline(5, lambda: KeyError("late")):
        await asyncio.sleep(0)


async def test_another_time_out_is_not_the_deadline() -> None:
    """A TimeoutError of the body passes through."""
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


async def test_a_thread_returns_its_result() -> None:
    """The caller gets the result."""
    assert 3 == await run_in_thread(len, "abc")


async def test_a_thread_fails() -> None:
    """The caller gets the exception."""
    with pytest.raises(ValueError, match="invalid literal"):
        await run_in_thread(int, "x")


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_cancelled_thread_is_stopped_and_awaited(cancellations: int) -> None:
    """The thread has ended when the cancellation is raised, after any number of cancellations."""
    stopped, ended = threading.Event(), threading.Event()

    def work() -> None:
        stopped.wait(5)
        time.sleep(0.05)
        ended.set()
        raise ValueError("the cancellation hides it")

    running = asyncio.ensure_future(run_in_thread(work, stop=stopped.set))
    for _ in range(cancellations):
        await asyncio.sleep(0.01)
        running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert ended.is_set()


async def test_a_sleep_releases_the_turn() -> None:
    """Afterwards it waits for a free turn."""
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


async def test_a_cancelled_sleep_releases_the_turn_once() -> None:
    """The number of turns is as before."""
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


async def test_a_call_returns_the_result_of_the_function(workers: ThreadPool) -> None:
    """The function gets the arguments."""
    assert (3, 1) == await workers.run(divmod, 7, 2)


async def test_an_exception_of_the_function_is_raised(workers: ThreadPool) -> None:
    """It is the same exception."""
    with pytest.raises(ZeroDivisionError):
        await workers.run(divmod, 7, 0)


async def test_a_cancelled_call_waits_for_its_thread(workers: ThreadPool) -> None:
    """This also holds for a second cancellation."""
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


async def test_the_result_of_finished_work_is_returned_at_once() -> None:
    """Nothing has to be awaited."""
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work.set_result(3)
    assert 3 == await result_when_done(work)


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

"""Calls in threads, and the threads."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.threads import EngineThreads
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, OperationError
from support.process.clock import put_forward


@pytest.fixture
async def threads() -> AsyncIterator[EngineThreads]:
    """Threads that are closed afterwards."""
    threads = EngineThreads()
    yield threads
    await threads.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


class Work:
    """Waits for a byte that never comes.

    Attributes:
        go_on: What it waits for once it is broken off; a test may clear it before.
    """

    def __init__(self, call: Call, sock: socket.socket) -> None:
        self.call = call
        self.sock = sock
        self.began, self.broken_off, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> bytes:
        self.call.register(self.sock)
        self.began.set()
        data = self.sock.recv(1)
        self.broken_off.set()
        self.go_on.wait()
        self.ended.set()
        return data

    async def until_it_waits(self) -> None:
        """Wait until the thread is in `recv`."""
        await asyncio.to_thread(self.began.wait)

    async def until_it_is_broken_off(self) -> None:
        """Wait until `recv` has ended, and what comes behind it goes on."""
        await asyncio.to_thread(self.broken_off.wait)


def _run(threads: EngineThreads, call: Call, work: Callable[[], Any], seconds: float | None = None) -> Any:
    late = EngineUnavailableError("too late")
    return threads.run(call, work, seconds, lambda: late)


async def test_a_call_returns_the_result_of_its_work(threads: EngineThreads) -> None:
    """It runs in a thread of the engine's."""
    assert "docker-engine" in await _run(threads, Call(), lambda: threading.current_thread().name)


async def test_an_error_of_the_work_is_raised(threads: EngineThreads) -> None:
    """It keeps its type."""
    with pytest.raises(KeyError, match="mine"):
        await _run(threads, Call(), lambda: dict[str, str]()["mine"])


async def test_stop_iteration_becomes_a_runtime_error(threads: EngineThreads) -> None:
    """A future cannot carry it; the caller would wait for ever."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await _run(threads, Call(), lambda: next(iter(())))


async def test_cancelling_waits_for_the_end_of_the_work(
    threads: EngineThreads, pair: tuple[socket.socket, socket.socket]
) -> None:
    """The thread has ended when `CancelledError` is raised."""
    work = Work(call := Call(), pair[0])
    work.go_on.clear()
    task = asyncio.create_task(_run(threads, call, work))
    await work.until_it_waits()
    task.cancel()
    await work.until_it_is_broken_off()
    assert not task.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert work.ended.is_set()


async def test_cancelling_twice_still_waits_for_the_end(
    threads: EngineThreads, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A second cancellation changes nothing."""
    work = Work(call := Call(), pair[0])
    work.go_on.clear()
    task = asyncio.create_task(_run(threads, call, work))
    await work.until_it_waits()
    task.cancel()
    await work.until_it_is_broken_off()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert work.ended.is_set()


async def test_a_deadline_ends_the_work_too(threads: EngineThreads, pair: tuple[socket.socket, socket.socket]) -> None:
    """It raises the error that the caller passed."""
    work = Work(call := Call(), pair[0])
    task = asyncio.create_task(_run(threads, call, work, seconds=3600))
    await work.until_it_waits()
    put_forward(3600)
    with pytest.raises(OperationError, match="too late"):
        await task

    assert work.ended.is_set()


async def test_a_cancel_during_the_end_of_a_deadline_wins(
    threads: EngineThreads, pair: tuple[socket.socket, socket.socket]
) -> None:
    """The caller gets `CancelledError`."""
    work = Work(call := Call(), pair[0])
    work.go_on.clear()
    task = asyncio.create_task(_run(threads, call, work, seconds=3600))
    await work.until_it_waits()
    put_forward(3600)
    await work.until_it_is_broken_off()
    task.cancel()
    await asyncio.sleep(0)
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert work.ended.is_set()


async def test_a_call_that_waits_for_a_thread_never_starts_once_cancelled(threads: EngineThreads) -> None:
    """Thirty-two are busy, one waits."""
    done = threading.Event()
    busy = [asyncio.create_task(_run(threads, Call(), done.wait)) for _ in range(32)]
    await asyncio.sleep(0)
    started = threading.Event()
    waits = asyncio.create_task(_run(threads, Call(), started.set))
    await asyncio.sleep(0.01)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    done.set()
    await asyncio.gather(*busy)

    assert not started.is_set()


async def test_closing_ends_what_runs_and_every_thread(pair: tuple[socket.socket, socket.socket]) -> None:
    """The caller gets EngineUnavailableError; closing twice is safe."""
    others = set(threading.enumerate())  # an earlier test's may not have been collected yet
    threads = EngineThreads()
    work = Work(call := Call(), pair[0])

    def fails() -> None:
        work()
        call.raise_if_aborted()

    task = asyncio.create_task(_run(threads, call, fails))
    await work.until_it_waits()
    await threads.close()
    await threads.close()
    with pytest.raises(OperationError) as caught:
        await task

    assert isinstance(caught.value, EngineUnavailableError)
    assert not [one for one in set(threading.enumerate()) - others if one.name.startswith("docker-engine")]


async def test_after_closing_nothing_is_done() -> None:
    """It raises EngineUnavailableError at once."""
    threads = EngineThreads()
    await threads.close()
    with pytest.raises(OperationError, match="closed"):
        await _run(threads, Call(), lambda: None)


async def test_closing_can_be_cancelled_and_still_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    """`CancelledError` is raised when everything has ended."""
    threads = EngineThreads()
    work = Work(call := Call(), pair[0])
    work.go_on.clear()
    task = asyncio.create_task(_run(threads, call, work))
    await work.until_it_waits()
    closing = asyncio.create_task(threads.close())
    await work.until_it_is_broken_off()
    closing.cancel()
    await asyncio.sleep(0)
    assert not closing.done()
    work.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await closing

    assert (b"", True) == (await task, work.ended.is_set())
    await threads.close()

"""The engine's own threads, and calls in them that can be broken off in any phase."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import Any, Protocol, TypeVar

from ...concurrency import wait_until_done
from ...errors import DeploymentSenderError, EngineUnavailableError

__all__ = ["AbortedError", "Call", "EngineThreads"]

T = TypeVar("T")

# Threads are made when needed and kept; further calls wait for one.
_MAX_THREADS = 32


class AbortedError(Exception):
    """The call's work was broken off; never leaves this package's clients."""


class _Breakable(Protocol):
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class Call:
    """One piece of work in a thread, and the sockets that it waits on.

    The loop's thread calls `abort`; everything else belongs to the work's own thread.
    """

    def __init__(self) -> None:
        self._aborted = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[_Breakable] = []

    @property
    def aborted(self) -> bool:
        """Whether the work was told to end."""
        return self._aborted.is_set()

    def check(self) -> None:
        """Raise `AbortedError` if the work shall end."""
        if self._aborted.is_set():
            raise AbortedError

    def sleep(self, seconds: float) -> None:
        """Wait, but not after an abort."""
        if self._aborted.wait(seconds):
            raise AbortedError

    def adopt(self, connection: _Breakable) -> None:
        """Have `abort` break this connection off, and `close` too: a build goes on while its socket is open.

        A duplicate of a socket is kept: TLS detaches the original, and a closed original's number may be
        another file's by the time of the abort.
        """
        with self._lock:
            self.check()
            self._sockets.append(connection.dup() if isinstance(connection, socket) else connection)

    def abort(self) -> None:
        """End the work: what it waits for on a socket fails at once."""
        with self._lock:
            self._aborted.set()
            self._shut_down()

    def close(self) -> None:
        """Let go of every socket."""
        with self._lock:
            self._shut_down()
            connections, self._sockets = self._sockets, []
        for connection in connections:  # without the lock: a program may take a moment, and `abort` waits for nothing
            connection.close()

    def _shut_down(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):  # the other side was first
                connection.shutdown(SHUT_RDWR)


class EngineThreads:
    """Runs calls in threads of its own: asyncio's default executor has few, and others need them."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="docker-engine")
        self._running: dict[Call, asyncio.Future[Any]] = {}
        self._closed = False

    async def run(
        self, call: Call, work: Callable[[], T], seconds: float | None, too_late: Callable[[], DeploymentSenderError]
    ) -> T:
        """Run `work` in a thread; when this comes back, however it does, the work has ended.

        Args:
            call: What `work` waits with.
            work: Any function of which every wait ends when `call` is aborted.
            seconds: The deadline; None for none.
            too_late: Makes the error to raise after it.

        Raises:
            DeploymentSenderError: DOCKER_UNAVAILABLE when closed, before or meanwhile; what `too_late` makes.
        """
        with self._begun(call, work) as (future, outcome):
            try:
                await asyncio.wait((outcome,), timeout=seconds)
                if not outcome.done():
                    await _stop(call, future, outcome)
                    raise too_late()
            except asyncio.CancelledError:
                await _stop(call, future, outcome)
                raise
            if call.aborted and outcome.exception():
                raise _closed_error() from None
            return outcome.result()

    @contextmanager
    def _begun(self, call: Call, work: Callable[[], T]) -> Iterator[tuple[Future[T], asyncio.Future[T]]]:
        if self._closed:
            raise _closed_error()
        future = self._executor.submit(_to_its_end, call, work)
        outcome = asyncio.wrap_future(future)
        self._running[call] = outcome
        try:
            yield future, outcome
        finally:
            del self._running[call]

    async def close(self) -> None:
        """Break off what runs and end the threads; twice is safe."""
        self._closed = True
        for call in self._running:
            call.abort()
        try:
            await wait_until_done(tuple(self._running.values()))
        finally:  # also when cancelled: nobody else would end the threads
            await wait_until_done((asyncio.ensure_future(asyncio.to_thread(self._executor.shutdown)),))


def _closed_error() -> DeploymentSenderError:
    return EngineUnavailableError("The connection to the Docker Engine was closed.")


def _to_its_end(call: Call, work: Callable[[], T]) -> T:
    try:
        call.check()
        return work()
    except StopIteration as exc:
        # A future cannot carry it: asyncio would wait for ever (PEP 479 does the same to generators).
        raise RuntimeError("StopIteration came out of a call to the Docker Engine") from exc
    finally:
        call.close()


async def _stop(call: Call, future: Future[T], outcome: asyncio.Future[T]) -> None:
    """Abort the call and wait until its thread is free, even if cancelled again meanwhile."""
    future.cancel()  # while it waits for a thread, that is all there is to do
    call.abort()
    await wait_until_done((outcome,))
    if not outcome.cancelled():
        outcome.exception()  # says that it was aborted; nobody else asks

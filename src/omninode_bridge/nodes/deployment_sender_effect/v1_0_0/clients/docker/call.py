"""One call to the engine in a thread, which the event loop can abort in any phase."""

import threading
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Protocol

__all__ = ["AbortedError", "Call"]


class AbortedError(Exception):
    """The call was aborted; never leaves `clients/docker`."""


class _Abortable(Protocol):
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class Call:
    """Work in a thread, and the connections that it waits on.

    The loop's thread calls `abort`; every other method belongs to the work's own thread.
    """

    def __init__(self) -> None:
        self._aborted = threading.Event()
        self._lock = threading.Lock()
        self._connections: list[_Abortable] = []

    @property
    def aborted(self) -> bool:
        """Whether the work has to end."""
        return self._aborted.is_set()

    def raise_if_aborted(self) -> None:
        """Raise `AbortedError` if the work has to end."""
        if self._aborted.is_set():
            raise AbortedError

    def sleep(self, seconds: float) -> None:
        """Wait so long; raise `AbortedError` as soon as the call is aborted."""
        if self._aborted.wait(seconds):
            raise AbortedError

    def register(self, connection: _Abortable) -> None:
        """Have `abort` shut this connection down, and `close` close it: a build runs as long as its socket is open.

        Of a socket a duplicate is kept: TLS detaches the original, and once the original is closed, its number may be
        another file's by the time of the abort.
        """
        with self._lock:
            self.raise_if_aborted()
            self._connections.append(connection.dup() if isinstance(connection, socket) else connection)

    def abort(self) -> None:
        """End the work: whatever it waits for on a connection fails at once."""
        with self._lock:
            self._aborted.set()
            self._shut_down()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            self._shut_down()
            connections, self._connections = self._connections, []
        for connection in connections:  # without the lock: a program may need a moment, and `abort` must not wait
            connection.close()

    def _shut_down(self) -> None:
        for connection in self._connections:
            with suppress(OSError):  # the other side was first
                connection.shutdown(SHUT_RDWR)

"""Limits how many connections are open: the oldest without an authenticated upload is closed for a newer one.

A sender sends as soon as it is connected and is authenticated within moments, so the connection that has waited longest
is the least likely to be a sender's. Connections are counted where sockets are opened and closed, so also during their
TLS handshake.
"""

import socket
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["Listener"]


class _Connection(socket.socket):
    """A connection that calls `on_close` when it is closed."""

    on_close: Callable[[int], None] | None = None

    def close(self) -> None:
        descriptor = self.fileno()
        super().close()
        if self.on_close is not None:
            self.on_close(descriptor)


class Listener(socket.socket):
    """A listening socket for an event loop.

    Args:
        family: The family of its address.
        waiting_max: How many connections may be open without being held; the oldest is closed for one more.
    """

    def __init__(self, family: socket.AddressFamily, waiting_max: int) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._waiting_max = waiting_max
        self._waiting: OrderedDict[int, _Connection] = OrderedDict()
        self._held: dict[int, _Connection] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept the next connection, and shut down the oldest if that makes too many."""
        plain, address = super().accept()
        connection = _Connection(plain.family, plain.type, plain.proto, plain.detach())
        connection.on_close = self._forget
        self._wait(connection)
        return connection, address

    @contextmanager
    def hold(self, descriptor: int) -> Iterator[None]:
        """Keep a connection open within the block, however many others come.

        Args:
            descriptor: Its file descriptor.
        """
        connection = self._waiting.pop(descriptor, None)
        if connection is None:  # it has just been shut down
            yield
            return
        self._held[descriptor] = connection
        try:
            yield
        finally:
            if self._held.pop(descriptor, None) is not None:
                self._wait(connection)

    def _wait(self, connection: _Connection) -> None:
        self._waiting[connection.fileno()] = connection
        while len(self._waiting) > self._waiting_max:
            _, oldest = self._waiting.popitem(last=False)
            with suppress(OSError):  # the client has gone already
                oldest.shutdown(socket.SHUT_RDWR)  # its protocol reads the end, and closes it

    def _forget(self, descriptor: int) -> None:
        self._waiting.pop(descriptor, None)
        self._held.pop(descriptor, None)

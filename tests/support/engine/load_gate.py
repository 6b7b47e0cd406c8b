"""A gate before a Docker Engine: it counts what is loaded through it, and holds a load where a test wants."""

import re
import select
import socket
import threading
from contextlib import suppress
from typing import Literal

from support.engine.relay import PIECE_BYTES, EngineRelay, shut

__all__ = ["LoadGate", "Point"]

Point = Literal["before", "midway", "after"]

_MIDWAY_BYTES = 3 * PIECE_BYTES
_LOAD = re.compile(rb"POST /v[0-9.]+/images/load\?")


class LoadGate(EngineRelay):
    """Passes everything on until a test sets where it holds loads.

    Args:
        docker_host: The engine's address; None for the local socket.

    Attributes:
        hold: Where to hold loads, until `release`: before the engine hears of one, when it has read some of the
            archive, or when it has responded.
        loads: How many the engine has heard of.
    """

    def __init__(self, docker_host: str | None) -> None:
        super().__init__(docker_host)
        self.hold: Point | None = None
        self.loads = 0

    def release(self) -> None:
        """Pass on what is held, and hold nothing more; what a closed connection has sent is dropped."""
        self.hold = None
        super().release()

    def up(self, client: socket.socket, engine: socket.socket, noticed: threading.Event) -> None:
        """Notice, count and hold a load."""
        passed = 0
        with suppress(OSError):
            while piece := client.recv(PIECE_BYTES):
                if _LOAD.match(piece):
                    noticed.set()
                    self._hold("before", client)
                    self.loads += 1
                elif noticed.is_set() and passed > _MIDWAY_BYTES:
                    self._hold("midway", client)
                engine.sendall(piece)
                passed += len(piece)
        shut(engine)

    def down(self, client: socket.socket, engine: socket.socket, noticed: threading.Event) -> None:
        """Hold the response to a load."""
        with suppress(OSError):
            while piece := engine.recv(PIECE_BYTES):
                if noticed.is_set():
                    self._hold("after", client)
                client.sendall(piece)
        shut(client)

    def _hold(self, point: Point, client: socket.socket) -> None:
        if self.hold != point:
            return
        self.held.set()
        self.released.wait()
        watch = select.poll()
        watch.register(client, 0)
        if watch.poll(0):
            raise ConnectionResetError("the client has gone")

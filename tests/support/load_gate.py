"""A gate before a Docker Engine: it counts what is loaded through it, and holds a load where a test wants."""

import re
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

__all__ = ["LoadGate", "Point"]

Point = Literal["before", "midway", "after"]

_PIECE_BYTES = 65_536
_MIDWAY_BYTES = 3 * _PIECE_BYTES
_LOAD = re.compile(rb"POST /v[0-9.]+/images/load\?")


class LoadGate:
    """Listens on a Unix socket for the length of a `with` block.

    Args:
        docker_host: The engine's address, a Unix socket; None for the local one.

    Attributes:
        docker_host: Its own address.
        hold: Where to hold loads, until `release`: before the engine hears of one, when it has read some of the
            archive, or when it has answered.
        held: Set once one is held.
        loads: How many the engine has heard of.
    """

    def __init__(self, docker_host: str | None) -> None:
        self._engine = (docker_host or "unix:///var/run/docker.sock").removeprefix("unix://")
        self._folder = Path(tempfile.mkdtemp(prefix="gate-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "engine.sock"))
        self._listener.listen()
        self._opened: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._released = threading.Event()
        self.docker_host = f"unix://{self._folder}/engine.sock"
        self.hold: Point | None = None
        self.held = threading.Event()
        self.loads = 0

    def release(self) -> None:
        """Let go of what is held, and hold nothing more; what somebody sent who has gone since is thrown away."""
        self.hold = None
        self._released.set()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        _shut(self._listener)
        self._threads[0].join()
        for opened in self._opened:
            _shut(opened)
        for thread in self._threads[1:]:
            thread.join()
        for opened in (self._listener, *self._opened):
            opened.close()
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                self._opened += [client, engine]
                engine.connect(self._engine)
                loading = threading.Event()
                self._start(self._up, client, engine, loading)
                self._start(self._down, client, engine, loading)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _up(self, client: socket.socket, engine: socket.socket, loading: threading.Event) -> None:
        passed = 0
        with suppress(OSError):
            while piece := client.recv(_PIECE_BYTES):
                if _LOAD.match(piece):
                    loading.set()
                    self._hold("before", client)
                    self.loads += 1
                elif loading.is_set() and passed > _MIDWAY_BYTES:
                    self._hold("midway", client)
                engine.sendall(piece)
                passed += len(piece)
        _shut(engine)

    def _down(self, client: socket.socket, engine: socket.socket, loading: threading.Event) -> None:
        with suppress(OSError):
            while piece := engine.recv(_PIECE_BYTES):
                if loading.is_set():
                    self._hold("after", client)
                client.sendall(piece)
        _shut(client)

    def _hold(self, point: Point, client: socket.socket) -> None:
        if self.hold != point:
            return
        self.held.set()
        self._released.wait()
        watch = select.poll()
        watch.register(client, 0)
        if watch.poll(0):
            raise ConnectionResetError("the client has gone")


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)

"""What stands before a Docker Engine and passes on what goes through it, each direction in a thread of its own."""

import shutil
import socket
import tempfile
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["PIECE_BYTES", "EngineRelay", "shut"]

PIECE_BYTES = 65_536


class EngineRelay(ABC):
    """Listens on a Unix socket for the length of a `with` block.

    Args:
        docker_host: The engine's address; None for the local socket.

    Attributes:
        docker_host: Its own address.
        held: Set once something is held.
        released: Set once nothing is held any more.
    """

    def __init__(self, docker_host: str | None) -> None:
        self._engine = docker_host or "unix:///var/run/docker.sock"
        self._folder = Path(tempfile.mkdtemp(prefix="relay-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "engine.sock"))
        self._listener.listen()
        self._opened: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.docker_host = f"unix://{self._folder}/engine.sock"
        self.held = threading.Event()
        self.released = threading.Event()

    def release(self) -> None:
        """Let go of what is held, and hold nothing more."""
        self.released.set()

    @abstractmethod
    def up(self, client: socket.socket, engine: socket.socket, noticed: threading.Event) -> None:
        """Pass on what a client sends.

        Args:
            client: Its side.
            engine: The other.
            noticed: Notes about this connection, which its two directions share.
        """

    @abstractmethod
    def down(self, client: socket.socket, engine: socket.socket, noticed: threading.Event) -> None:
        """Pass on the engine's response."""

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        shut(self._listener)
        self._threads[0].join()
        for opened in self._opened:
            shut(opened)
        for thread in self._threads[1:]:
            thread.join()
        for opened in (self._listener, *self._opened):
            opened.close()
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._opened.append(client)
                engine = _connected(self._engine)
                self._opened.append(engine)
                noticed = threading.Event()
                for work in (self.up, self.down):
                    self._threads.append(threading.Thread(target=work, args=(client, engine, noticed)))
                    self._threads[-1].start()


def _connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return socket.create_connection((parts.hostname, parts.port or 2375))
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(parts.path)
    return engine


def shut(opened: socket.socket) -> None:
    """End a connection for both sides, and for the thread that reads from it."""
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)

"""A proxy before a Docker Engine that cuts and holds what goes through it: contexts, and archives of images."""

import re
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["EngineProxy"]

_PIECE_BYTES = 65_536
_EXPORT = re.compile(rb"GET /v[0-9.]+/images/\S+/get ")
_BUILD = re.compile(rb"POST /v[0-9.]+/build\?")


class EngineProxy:
    """Listens on a Unix socket for the length of a `with` block; nothing goes wrong until it is told so.

    Args:
        docker_host: The engine's address; None for the local socket.

    Attributes:
        docker_host: Its own address.
        cut_after_bytes: Close both sides once so many bytes of an export's answer came through.
        hold_after_bytes: Pass no more on after so many, until `release`.
        hold_builds: Pass nothing of a build's request on, until `release`.
        exported_bytes: What came through of exports' answers, heads and all.
        held: Set once something is held.
    """

    def __init__(self, docker_host: str | None) -> None:
        self._engine = docker_host or "unix:///var/run/docker.sock"
        self._folder = Path(tempfile.mkdtemp(prefix="proxy-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "engine.sock"))
        self._listener.listen()
        self._opened: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._released = threading.Event()
        self.docker_host = f"unix://{self._folder}/engine.sock"
        self.cut_after_bytes: int | None = None
        self.hold_after_bytes: int | None = None
        self.hold_builds = False
        self.exported_bytes = 0
        self.held = threading.Event()

    def release(self) -> None:
        """Let go of what is held, and hold nothing more."""
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
        for thread in self._threads:
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
                exporting = threading.Event()
                for work, source, sink in ((self._up, client, engine), (self._down, engine, client)):
                    self._threads.append(threading.Thread(target=work, args=(source, sink, exporting)))
                    self._threads[-1].start()

    def _down(self, engine: socket.socket, client: socket.socket, exporting: threading.Event) -> None:
        passed = 0
        with suppress(OSError):
            while piece := engine.recv(_PIECE_BYTES):
                if not exporting.is_set():
                    client.sendall(piece)
                    continue
                if self.cut_after_bytes is not None and passed + len(piece) > self.cut_after_bytes:
                    client.sendall(piece[: self.cut_after_bytes - passed])
                    break
                if self.hold_after_bytes is not None and passed + len(piece) > self.hold_after_bytes:
                    self._hold()
                client.sendall(piece)
                passed += len(piece)
                self.exported_bytes += len(piece)
        _shut(engine)
        _shut(client)

    def _up(self, client: socket.socket, engine: socket.socket, exporting: threading.Event) -> None:
        with suppress(OSError):
            while piece := client.recv(_PIECE_BYTES):
                if _EXPORT.match(piece):
                    exporting.set()
                if self.hold_builds and _BUILD.match(piece):
                    self._hold()
                engine.sendall(piece)
        _shut(engine)

    def _hold(self) -> None:
        self.held.set()
        self._released.wait()


def _connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return socket.create_connection((parts.hostname, parts.port or 2375))
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(parts.path)
    return engine


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)

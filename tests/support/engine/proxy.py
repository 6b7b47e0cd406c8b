"""A proxy before a Docker Engine that cuts and holds what goes through it: contexts, and archives of images."""

import re
import socket
import threading
from contextlib import suppress

from support.engine.relay import PIECE_BYTES, EngineRelay, shut

__all__ = ["EngineProxy"]

_EXPORT = re.compile(rb"GET /v[0-9.]+/images/\S+/get ")
_BUILD = re.compile(rb"POST /v[0-9.]+/build\?")


class EngineProxy(EngineRelay):
    """Nothing goes wrong until a test sets it.

    Args:
        docker_host: The engine's address; None for the local socket.

    Attributes:
        cut_after_bytes: Close both sides once so many bytes of an export's response came through.
        hold_after_bytes: Pass no more on after so many, until `release`.
        hold_builds: Pass nothing of a build's request on, until `release`.
        exported_bytes: The size of exports' responses that came through, with their heads.
    """

    def __init__(self, docker_host: str | None) -> None:
        super().__init__(docker_host)
        self.cut_after_bytes: int | None = None
        self.hold_after_bytes: int | None = None
        self.hold_builds = False
        self.exported_bytes = 0

    def down(self, client: socket.socket, engine: socket.socket, noticed: threading.Event) -> None:
        """Count, cut and hold an export."""
        passed = 0
        with suppress(OSError):
            while piece := engine.recv(PIECE_BYTES):
                if not noticed.is_set():
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
        shut(engine)
        shut(client)

    def up(self, client: socket.socket, engine: socket.socket, noticed: threading.Event) -> None:
        """Notice an export, and hold a build."""
        with suppress(OSError):
            while piece := client.recv(PIECE_BYTES):
                if _EXPORT.match(piece):
                    noticed.set()
                if self.hold_builds and _BUILD.match(piece):
                    self._hold()
                engine.sendall(piece)
        shut(engine)

    def _hold(self) -> None:
        self.held.set()
        self.released.wait()

"""A real nginx in front of a receiver, as a process of the test."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from support.eventually import eventually_sync
from support.process.ports import free_port

__all__ = ["Nginx"]

_PROGRAM = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    {server}
  }}
}}
"""
_DEADLINE_SECONDS = 20


class Nginx:
    """On a free loopback port that is known before it runs; skips the test where there is none.

    Args:
        folder: For its files; created.

    Attributes:
        url: Where it listens.
    """

    def __init__(self, folder: Path) -> None:
        if _PROGRAM is None:
            pytest.skip("nginx is not installed")
        self._command = [_PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def serving(self, server: str) -> Iterator[None]:
        """Run for the length of the block.

        Args:
            server: Directives of its one `server` block.
        """
        self._folder.mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = _CONFIGURATION.format(folder=self._folder, port=self._port, server=server, user=user)
        (self._folder / "nginx.conf").write_text(configuration)
        process = subprocess.Popen(self._command)
        try:
            eventually_sync(lambda: _listens(self._port) or process.poll() is not None)
            assert process.poll() is None, (self._folder / "error.log").read_text()
            yield
        finally:
            process.terminate()
            process.wait(_DEADLINE_SECONDS)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False

"""Podman's service of its Docker-compatible API, with images of its own."""

import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

__all__ = ["Podman"]

_START_SECONDS = 30  # it takes less than one; a machine that is busy with other tests may need more


class Podman:
    """A running service; its images and its socket are in a folder that goes with it.

    Attributes:
        docker_host: Its address.
    """

    def __init__(self) -> None:
        if shutil.which("podman") is None:
            pytest.skip("podman is not installed on this machine")
        # Short: the path of a Unix socket has 108 bytes at most (unix(7)).
        self._folder = Path(tempfile.mkdtemp(prefix="podman-"))
        socket, log = self._folder / "podman.sock", self._folder / "log"
        self.docker_host = f"unix://{socket}"
        command = ["podman", f"--root={self._folder}/root", f"--runroot={self._folder}/run", "--storage-driver=vfs"]
        command += ["system", "service", "--time=0", self.docker_host]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        end = time.monotonic() + _START_SECONDS
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                pytest.fail(f"podman did not start:\n{log.read_text()[-4000:]}", pytrace=False)
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with suppress(OSError):
            shutil.rmtree(self._folder)

    def stop(self) -> None:
        """End the service; twice is safe."""
        self._process.terminate()
        self._process.wait()

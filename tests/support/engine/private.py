"""A Docker Engine of the test's own: no other is touched when it is killed, frozen or out of space.

It lives in namespaces of its own (namespaces(7)): without network, so that it leaves the bridge and the rules of the
machine's engine alone, and with process ids of its own, so that all that it has started dies with it.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import pytest

from support.engine.engines import RealEngine
from support.eventually import eventually_sync
from support.process.processes import until_stopped

__all__ = ["PrivateEngine"]

_DEADLINE_SECONDS = 30
_CGROUPS = Path("/sys/fs/cgroup")


class PrivateEngine(RealEngine):
    """Runs for the length of a `with` block; its folder and what it has left in the kernel are gone after it.

    Skips the test where only root may, or where no dockerd is.

    Args:
        machine: The machine's engine, of which the base image is taken.
        data: Its data folder, such as a small disk; one of its own if not given.

    Attributes:
        log: What dockerd has written.
    """

    def __init__(self, machine: RealEngine, data: Path | None = None) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can start a Docker Engine of the test's own")
        if shutil.which("dockerd") is None:
            pytest.skip("dockerd is not installed on this machine")
        super().__init__(machine.api, machine.base_image)
        self._machine = machine
        # Short: the path of a Unix socket has 108 bytes at most (unix(7)).
        self._folder = Path(tempfile.mkdtemp(prefix="engine-"))
        self._data = data or self._folder / "data"
        self._socket = self._folder / "engine.sock"
        self._cgroup = f"deployment-sender-test-{uuid.uuid4().hex[:12]}"
        self._process: subprocess.Popen[bytes] | None = None
        self.docker_host = f"unix://{self._socket}"
        self.log = self._folder / "log"

    def __enter__(self) -> Self:
        try:
            self.start()
            self.api.load_image(self._machine.api.get_image(self.base_image))  # type: ignore[no-untyped-call]
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def pid(self) -> int:
        """The process id of dockerd."""
        assert self._process is not None
        task = f"/proc/{self._process.pid}/task/{self._process.pid}"
        return int(Path(task, "children").read_text().split()[0])

    def start(self) -> None:
        """Start it, after a kill too: with the same images, at the same address."""
        run = Path(tempfile.mkdtemp(dir=self._folder))  # what a killed one has left there would only confuse
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["dockerd", f"--data-root={self._data}", f"--exec-root={run}/exec", f"--pidfile={run}/pid"]
        command += ["--bridge=none", "--iptables=false", "--ip6tables=false", "-H", f"unix://{self._socket}"]
        command += ["--exec-opt", "native.cgroupdriver=cgroupfs", f"--cgroup-parent=/{self._cgroup}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_answer()

    def stop(self) -> None:
        """Stop it as a system that shuts down does: it stops every container first."""
        assert self._process is not None
        os.kill(self.pid, signal.SIGTERM)
        self._process.wait(_DEADLINE_SECONDS)
        self._process = None

    def kill(self) -> None:
        """Kill it without a warning, and with it every container."""
        if self._process is None:
            return
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        """Freeze it: it accepts connections, and sends nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        until_stopped(self.pid)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _await_answer(self) -> None:
        process = self._process
        assert process is not None
        eventually_sync(lambda: self._answers() or process.poll() is not None)
        if process.poll() is not None:
            pytest.fail(f"the private dockerd did not start:\n{self.log.read_text()[-4000:]}", pytrace=False)
        self._close()
        self.api = docker.APIClient(base_url=self.docker_host, version="auto", timeout=60)

    def _answers(self) -> bool:
        with closing(socket.socket(socket.AF_UNIX)) as engine, suppress(OSError):
            engine.settimeout(_DEADLINE_SECONDS)
            engine.connect(str(self._socket))
            engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in engine.recv(64)
        return False

    def _close(self) -> None:
        if self.api is not self._machine.api:
            self.api.close()

    def _leave(self) -> None:
        self._close()
        self.kill()
        shutil.rmtree(self._folder)
        for folder in sorted(_CGROUPS.glob(f"*/{self._cgroup}")) + sorted(_CGROUPS.glob(self._cgroup)):
            _remove_cgroup(folder)


def _remove_cgroup(folder: Path) -> None:
    for where, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # one is left behind rather than waited for
            os.rmdir(where)  # noqa: PTH106 - as os.walk names them

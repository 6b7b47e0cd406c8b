"""A machine that is reached by ssh: a real sshd of the test's own, and this user's way to it.

sshd listens on several ports, each a machine of its own to whoever logs in there. The client's configuration is a file
of the test's: the `ssh` that comes first on the PATH is a script that hands it to the real one, since OpenSSH takes the
home folder from the user database and not from HOME.
"""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from support.eventually import eventually_sync
from support.process.ports import free_port

__all__ = ["SshServer", "ssh_server"]

_PORTS = ("edge", "jump", "bare", "dead")

_SERVER = """
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
LogLevel VERBOSE
SetEnv DOCKER_HOST={docker_host}
Match LocalPort {bare}
  SetEnv PATH={folder}/nothing
Match LocalPort {dead}
  SetEnv DOCKER_HOST=unix://{folder}/nothing.sock
"""

_CLIENT = """
Host edge
  Port {edge}
  ProxyJump jump
Host jump
  Port {jump}
Host bare
  Port {bare}
Host dead
  Port {dead}
Host stranger
  Port {edge}
  UserKnownHostsFile {folder}/nobody
Host locked
  Port {edge}
  IdentityFile {folder}/other
Host silent
  Port {silent}
Host * !locked
  IdentityFile {folder}/client
Host *
  HostName 127.0.0.1
  User {user}
  IdentitiesOnly yes
  IdentityAgent none
  StrictHostKeyChecking yes
  GlobalKnownHostsFile /dev/null
  UserKnownHostsFile {folder}/known
"""


class SshServer:
    """Runs for the length of a `with` block.

    Attributes:
        edge: A machine with docker and an engine, reached by a jump host and a port that the configuration names.
        ports: The port of each machine: `edge`; `jump`; `bare`, where no docker is; `dead`, where no engine is.
        user: Who logs in.
        path: What PATH must begin with, for `ssh` to find the configuration.
    """

    edge = "ssh://edge"

    def __init__(self, folder: Path, docker_host: str) -> None:
        for program in ("ssh", "sshd", "ssh-keygen", "docker"):
            if shutil.which(program, path=_PATH) is None:
                pytest.skip(f"{program} is not installed on this machine")
        self._folder = folder
        self._docker_host = docker_host
        self._silent = socket.create_server(("127.0.0.1", 0))
        self.ports = {name: free_port() for name in _PORTS}
        self.user = getpass.getuser()
        self.path = folder / "bin"

    def __enter__(self) -> Self:
        if os.geteuid() == 0:  # where sshd itself goes for a moment; Debian makes it when its service starts
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for key in ("host", "client", "other"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / key)]
            subprocess.run(command, check=True)
        self._write_configurations()
        with self.log.open("wb") as log:
            command = [_found("sshd"), "-D", "-e", "-f", str(self._folder / "sshd_config")]
            command += [word for port in self.ports.values() for word in ("-o", f"ListenAddress=127.0.0.1:{port}")]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._await_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._silent.close()

    @property
    def log(self) -> Path:
        """What sshd has written."""
        return self._folder / "log"

    def _write_configurations(self) -> None:
        places = {"folder": self._folder, "user": self.user, "docker_host": self._docker_host, **self.ports}
        places["silent"] = self._silent.getsockname()[1]
        (self._folder / "sshd_config").write_text(_SERVER.format(**places))
        (self._folder / "ssh_config").write_text(_CLIENT.format(**places))
        key = (self._folder / "host.pub").read_text()
        known = "".join(f"[127.0.0.1]:{port} {key}" for port in self.ports.values())
        (self._folder / "known").write_text(known)
        self.path.mkdir()
        script = self.path / "ssh"
        script.write_text(f'#!/bin/sh\nexec {_found("ssh")} -F {self._folder}/ssh_config "$@"\n')
        script.chmod(0o755)

    def _await_start(self) -> None:
        eventually_sync(lambda: _listens(self.ports["edge"]) or self._process.poll() is not None)
        if self._process.poll() is not None:
            pytest.fail(f"sshd did not start:\n{self.log.read_text()[-4000:]}", pytrace=False)


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _found(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    assert found is not None
    return found


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A machine behind ssh, with the engine that the tests run against; its `ssh` is the first on the PATH."""
    docker_host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    patch = pytest.MonkeyPatch()
    with SshServer(tmp_path_factory.mktemp("ssh"), docker_host) as server, patch.context() as patched:
        patched.setenv("PATH", str(server.path), prepend=os.pathsep)
        yield server

"""How this machine's ssh is started, and how its end is explained; the program here is a script of the test."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import RemoteDisconnected
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.connection import connected_client
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.endpoint import Endpoint, SshAddress
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.errors import TunnelError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.ssh import open_ssh
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import EngineUnavailableError, OperationError


@pytest.fixture
def call() -> Iterator[Call]:
    """A call that is closed afterwards."""
    call = Call()
    yield call
    call.close()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make `ssh` a shell script."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def write(script: str) -> None:
        (tmp_path / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ssh").chmod(0o755)

    return write


def _arguments(call: Call, address: SshAddress, seconds: float = 10) -> list[str]:
    sock = open_ssh(call, address, seconds).sock
    with closing(sock), sock.makefile("rb") as said:
        return said.read().decode().splitlines()


def test_ssh_is_started_as_the_docker_command_starts_it(call: Call, ssh: Callable[[str], None]) -> None:
    """It never prompts, forwards nothing, and cannot read the host as an option."""
    ssh('printf "%s\\n" "$@"')
    options = ["BatchMode=yes", "ClearAllForwardings=yes", "ServerAliveInterval=30", "ConnectTimeout=3"]
    expected = ["-T", "-a", "-x", *(word for option in options for word in ("-o", option))]

    assert [*expected, "--", "edge", "docker", "system", "dial-stdio"] == _arguments(call, SshAddress("edge"), 2.5)


def test_user_port_and_socket_are_those_of_the_address(call: Call, ssh: Callable[[str], None]) -> None:
    """The path is quoted for the shell over there."""
    ssh('printf "%s\\n" "$@"')
    arguments = _arguments(call, SshAddress("edge", "me", 2222, "/run/my docker.sock"))

    expected = ["-l", "me", "-p", "2222", "--", "edge", "docker", "--host", "'unix:///run/my docker.sock'"]
    assert [*expected, "system", "dial-stdio"] == arguments[-len(expected) - 2 :]


def test_what_is_sent_comes_back(call: Call, ssh: Callable[[str], None]) -> None:
    """Its standard input and output are the connection."""
    ssh("exec cat")
    with closing(open_ssh(call, SshAddress("edge"), 10).sock) as sock:
        sock.sendall(b"hello")

        assert b"hello" == sock.recv(100)


def test_a_program_with_much_error_output_is_not_blocked(call: Call, ssh: Callable[[str], None]) -> None:
    """Its standard error is not read while it runs."""
    ssh("yes debug: nothing of interest | head -c 1000000 >&2; exec cat")
    with closing(open_ssh(call, SshAddress("edge"), 10).sock) as sock:
        sock.sendall(b"hello")

        assert b"hello" == sock.recv(100)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no way >&2; exit 255", "ssh to edge: no way"),
        ("exit 255", "ssh to edge failed"),
        ("echo docker: not found >&2; exit 127", "there is no docker program on edge: docker: not found"),
        ("echo no engine >&2; exit 1", "`docker system dial-stdio` on edge: no engine"),
        ("exit 3", "`docker system dial-stdio` on edge exited with code 3"),
        ("seq 9 >&2; printf 'the \\033[1mend' >&2; exit 255", "ssh to edge: 6 / 7 / 8 / 9 / the end"),
    ],
)
def test_its_exit_is_explained(call: Call, ssh: Callable[[str], None], script: str, message: str) -> None:
    """The message has the end of its error output, without control characters."""
    ssh(script)
    connected = open_ssh(call, SshAddress("edge", "me", 22), 10)
    failure = connected.explain(RemoteDisconnected(""))
    connected.sock.close()

    assert isinstance(failure, TunnelError)
    assert (message, True) == (str(failure), "`ssh -p 22 me@edge docker version`" in failure.recovery)


def test_an_error_of_the_engine_is_not_explained_by_ssh(call: Call, ssh: Callable[[str], None]) -> None:
    """The engine may close a connection, too."""
    ssh("exit 0")
    connected = open_ssh(call, SshAddress("edge"), 10)
    reason = RemoteDisconnected("")
    connected.sock.close()

    assert reason is connected.explain(reason)


def test_silence_is_explained_by_the_error_output(call: Call, ssh: Callable[[str], None]) -> None:
    """It still runs, and is not waited for."""
    ssh("echo trying 192.0.2.1 >&2; echo; exec sleep 60")
    connected = open_ssh(call, SshAddress("edge"), 10)
    with closing(connected.sock) as sock:
        sock.recv(1)

        assert "ssh to edge: trying 192.0.2.1" == str(connected.explain(TimeoutError()))


def test_after_an_abort_nothing_is_left(ssh: Callable[[str], None]) -> None:
    """Nothing else would end it."""
    ssh("exec sleep 60")
    call = Call()
    call.abort()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with closing(call), pytest.raises(AbortedError):
        open_ssh(call, SshAddress("edge"), 10)

    assert before == set(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_program_that_is_not_there_leaves_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is one sentence."""
    monkeypatch.setenv("PATH", str(tmp_path))
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(TunnelError, match="ssh:// needs the program ssh on this machine"):
        open_ssh(call, SshAddress("edge"), 10)

    assert before == set(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_an_unreachable_engine_is_reported_with_advice(call: Call, ssh: Callable[[str], None]) -> None:
    """As an engine of any other kind."""
    ssh("echo Permission denied >&2; exit 255")
    endpoint = Endpoint("ssh://edge", tls_verify=False, cert_path=None, connect_timeout_seconds=60)
    with pytest.raises(OperationError) as caught, connected_client(endpoint, call):
        pass

    error = caught.value
    assert isinstance(error, EngineUnavailableError)
    assert "The Docker Engine at ssh://edge is not available: ssh to edge: Permission denied" == error.message
    assert "Make sure that `ssh edge docker version` works without a prompt." == error.recovery

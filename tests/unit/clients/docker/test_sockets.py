"""Sockets to an engine, which a call can abort while they are opened."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.sockets import open_tcp, open_unix


@pytest.fixture
def call() -> Iterator[Call]:
    """A call that is closed afterwards."""
    call = Call()
    yield call
    call.close()


@pytest.fixture
def full() -> Iterator[int]:
    """A port of loopback whose queue is full: connecting to it takes for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(4):
            sock = socket.socket()
            sock.settimeout(0)
            sock.connect_ex(("127.0.0.1", port))
            waiting.append(sock)
        yield port
        for sock in waiting:
            sock.close()


def _soon(action: Any) -> threading.Timer:
    timer = threading.Timer(0.1, action)
    timer.start()
    return timer


def test_tcp_connects_and_watches_over_a_silent_peer(call: Call) -> None:
    """Keep-alive is on; the time-out is what was asked for, for the TLS handshake."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        open_tcp(call, "localhost", listener.getsockname()[1], 3) as sock,
    ):
        assert 3 == sock.gettimeout()
        assert 1 == sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_tcp_tries_every_address_of_a_name(call: Call) -> None:
    """The first refuses, the second accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        closed = other.getsockname()[1]
        other.close()
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", closed)),
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname()),
        ]
        with open_tcp(call, "engine", 1, 3, resolve=lambda *_, **__: found) as sock:
            assert listener.getsockname() == sock.getpeername()


def test_a_closed_port_refuses(call: Call) -> None:
    """It does so at once, with the system's error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        open_tcp(call, "127.0.0.1", port, 3)


def test_connecting_has_a_deadline(call: Call, full: int) -> None:
    """There is no response at all."""
    with pytest.raises(TimeoutError):
        open_tcp(call, "127.0.0.1", full, 0.15)


def test_an_abort_ends_connecting(call: Call, full: int) -> None:
    """Long before its deadline, which the test's own time-out would not let come."""
    timer = _soon(call.abort)
    with pytest.raises(AbortedError):
        open_tcp(call, "127.0.0.1", full, 3600)
    timer.join()


def test_an_abort_ends_the_resolution_of_a_name(call: Call) -> None:
    """The resolver itself cannot be interrupted, and is not waited for."""
    answered = threading.Event()

    def resolve(*_: Any, **__: Any) -> None:
        call.abort()
        answered.wait()

    with pytest.raises(AbortedError):
        open_tcp(call, "engine", 1, 3600, resolve=resolve)
    answered.set()


def test_an_invalid_name_is_an_os_error(call: Call) -> None:
    """Not a UnicodeError."""
    with pytest.raises(OSError, match="not a host name"):
        open_tcp(call, "a..b", 1, 3)


def test_an_unknown_name_is_an_os_error(call: Call) -> None:
    """The error is the resolver's."""

    def resolve(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(socket.gaierror):
        open_tcp(call, "engine", 1, 3, resolve=resolve)


def test_a_name_without_addresses_is_an_os_error(call: Call) -> None:
    """An empty result is possible."""
    with pytest.raises(OSError, match="engine has no address"):
        open_tcp(call, "engine", 1, 3, resolve=lambda *_, **__: [])


def test_unix_connects(call: Call, tmp_path: Path) -> None:
    """To a path."""
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with open_unix(call, path, 3) as sock:
            assert path == sock.getpeername()


def test_unix_without_a_socket_fails_and_leaves_none_open(call: Call, tmp_path: Path) -> None:
    """An open one would be a ResourceWarning, and so a failure, here."""
    with pytest.raises(FileNotFoundError):
        open_unix(call, str(tmp_path / "nothing"), 3)

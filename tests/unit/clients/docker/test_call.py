"""One call, and the connections that it waits on."""

import socket
from collections.abc import Iterator

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_no_connection_is_registered_after_an_abort(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection that is made too late would never be closed."""
    call = Call()
    call.abort()
    with pytest.raises(AbortedError):
        call.register(pair[0])


def test_sleep_is_cut_short_by_an_abort() -> None:
    """It raises AbortedError."""
    call = Call()
    call.sleep(0.001)
    call.abort()
    with pytest.raises(AbortedError):
        call.sleep(60)

    assert call.aborted


def test_an_abort_reaches_a_socket_that_was_handed_on(pair: tuple[socket.socket, socket.socket]) -> None:
    """TLS detaches the socket that was adopted; the connection is the same."""
    call = Call()
    call.register(pair[0])
    with socket.socket(fileno=pair[0].detach()):
        call.abort()
        assert b"" == pair[1].recv(1)
        call.close()


def test_an_abort_reaches_other_connections_than_sockets() -> None:
    """An ssh channel is closed in its own way."""

    class Channel:
        diary: tuple[str, ...] = ()

        def shutdown(self, how: int, /) -> None:
            self.diary += ("shutdown",)

        def close(self) -> None:
            self.diary += ("close",)

    call, channel = Call(), Channel()
    call.register(channel)
    call.abort()
    call.close()

    assert ("shutdown", "shutdown", "close") == channel.diary

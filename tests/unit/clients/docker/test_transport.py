"""HTTP over sockets of our own, against an engine whose responses the test chooses."""

from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from requests import Response, Session

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.sockets import EngineSocket, open_unix
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.transport import EngineAdapter
from support.engine.fake_daemon import Exchange, FakeDaemon


class Client:
    """A session that our adapter serves.

    Attributes:
        opened: Its connections so far.
        failure: What the next ones make of an exception.
    """

    def __init__(self, path: Path) -> None:
        self.opened: list[EngineSocket] = []
        self.failure: Callable[[Exception], Exception] = lambda exc: exc
        self.call = Call()
        self._path = path
        self.session = Session()
        self.session.mount("http://", EngineAdapter("engine", self._open))

    def _open(self) -> EngineSocket:
        self.opened.append(EngineSocket(open_unix(self.call, str(self._path), 5), self.failure))
        return self.opened[-1]

    def ask(self, method: str = "GET", **how: Any) -> Response:
        """Send a request."""
        return self.session.request(method, "http://engine/thing", timeout=5, **how)

    def close(self) -> None:
        """Close everything."""
        self.session.close()
        self.call.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """An engine."""
    with FakeDaemon(tmp_path / "engine.sock") as daemon:
        yield daemon


@pytest.fixture
def client(tmp_path: Path, daemon: FakeDaemon) -> Iterator[Client]:
    """A client of it."""
    with closing(Client(tmp_path / "engine.sock")) as client:
        yield client


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_is_used_again(client: Client, daemon: FakeDaemon, chunked: bool) -> None:
    """Once its response was read."""
    daemon.on("GET", "/thing", lambda it: it.stream(b"a", b"b") if chunked else it.respond(b"ab"))

    assert [b"ab"] * 3 == [client.ask().content for _ in range(3)]
    assert 1 == len(client.opened)


def test_a_response_that_is_not_read_keeps_its_connection(client: Client, daemon: FakeDaemon) -> None:
    """The next request has another."""
    daemon.on("GET", "/thing", lambda it: it.respond(b"x" * 3_000_000))
    first, second = client.ask(stream=True), client.ask()

    assert (2, second.content) == (len(client.opened), first.content)


def test_a_connection_that_was_closed_is_not_used_again(client: Client, daemon: FakeDaemon) -> None:
    """An engine may announce the end of a connection, or just close it."""
    daemon.on("GET", "/thing", lambda it: it.respond(b"x", Connection="close"))
    client.ask()
    client.ask()

    assert 2 == len(client.opened)


@pytest.mark.parametrize("body", ["wörd", b"w\xc3\xb6rd", iter([b"w\xc3", b"\xb6rd"])])
def test_a_body_is_sent_as_it_is(client: Client, daemon: FakeDaemon, body: Any) -> None:
    """Text as UTF-8, and in chunks what has no length."""
    received: list[bytes] = []

    def note(exchange: Exchange) -> None:
        received.append(exchange.body())
        exchange.send(b"HTTP/1.1 204 Told\r\n\r\n")

    daemon.on("POST", "/thing", note)
    client.ask("POST", data=body)

    assert (["wörd"], "engine") == ([one.decode() for one in received], daemon.exchanges[-1].headers["host"])


def test_pieces_are_read_as_they_arrive(client: Client, daemon: FakeDaemon) -> None:
    """A log is live: a read returns what is there."""
    pieces = []

    def slowly(exchange: Exchange) -> None:
        exchange.begin()
        exchange.chunk(b"first")
        exchange.wait_until_gone()

    daemon.on("GET", "/thing", slowly)
    for piece in client.ask(stream=True).raw:
        pieces.append(piece)
        break

    assert [b"first"] == pieces


@pytest.mark.parametrize("head", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_a_body_that_ends_early_is_an_error(client: Client, daemon: FakeDaemon, head: bytes) -> None:
    """It is not taken for a whole one."""

    def cut(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 Told\r\n" + head + b"\r\n\r\n5\r\nabcde")
        exchange.cut()

    daemon.on("GET", "/thing", cut)
    with pytest.raises((IncompleteRead, HTTPException)):
        client.ask()


def test_a_refusal_before_all_was_sent_is_read(client: Client, daemon: FakeDaemon) -> None:
    """An engine need not read the whole request."""

    def refuse(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 400 Told\r\nContent-Length: 2\r\n\r\nno")
        exchange.cut()

    daemon.on("POST", "/thing", refuse)
    response = client.ask("POST", data=(b"x" * 1_000_000 for _ in range(50)))

    assert (400, b"no") == (response.status_code, response.content)


def test_a_failure_is_explained_by_the_socket(client: Client, daemon: FakeDaemon) -> None:
    """The program that carries the connection may know the reason."""
    reason = RuntimeError("the program has said so")
    client.failure = lambda exc: reason
    daemon.on("GET", "/thing", lambda it: it.cut())
    with pytest.raises(RuntimeError) as caught:
        client.ask()

    assert reason is caught.value

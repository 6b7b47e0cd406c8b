"""How many connections may be open: counted, and never timed."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.tls import client_context
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.listener import Listener
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import CONNECTIONS_MAX
from support.eventually import eventually
from support.http.certificates import Authority
from support.http.raw import written_upload
from support.receiver.in_process import Start

_MAX = 3


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener for three connections."""
    with Listener(socket.AF_INET, _MAX) as made:
        made.bind(("127.0.0.1", 0))
        made.listen(_MAX)
        yield made


class Pair:
    """A connection, from both ends."""

    def __init__(self, listener: Listener, opened: ExitStack) -> None:
        self.client = opened.enter_context(socket.create_connection(listener.getsockname()))
        self.ours = opened.enter_context(listener.accept()[0])

    def is_open(self) -> bool:
        """Whether the client has not read the connection's end."""
        self.client.settimeout(0)
        try:
            return self.client.recv(1) != b""
        except BlockingIOError:
            return True


@pytest.fixture
def pairs(listener: Listener) -> Iterator[list[Pair]]:
    """Five connections, one after another."""
    with ExitStack() as opened:
        yield [Pair(listener, opened) for _ in range(_MAX + 2)]


def test_the_oldest_is_closed_for_a_newer_one(pairs: list[Pair]) -> None:
    """The newest stay open."""
    assert [False, False, True, True, True] == [pair.is_open() for pair in pairs]


def test_a_held_connection_stays_open(listener: Listener) -> None:
    """It does not count while it is held."""
    with ExitStack() as opened:
        first = Pair(listener, opened)
        with listener.hold(first.ours.fileno()):
            others = [Pair(listener, opened) for _ in range(_MAX + 1)]
            assert [True, False, True, True, True] == [pair.is_open() for pair in (first, *others)]
        assert [True, False, False, True, True] == [pair.is_open() for pair in (first, *others)]  # it came back last


def test_a_closed_connection_does_not_count(listener: Listener) -> None:
    """Also if it was closed while held, and though another one has its descriptor by then."""
    with ExitStack() as opened:
        gone = Pair(listener, opened)
        with listener.hold(gone.ours.fileno()):
            gone.ours.close()
            pairs = [Pair(listener, opened) for _ in range(_MAX)]
        assert [True] * _MAX == [pair.is_open() for pair in pairs]
        pairs[0].ours.close()
        pairs.append(Pair(listener, opened))
        assert [False, True, True, True] == [pair.is_open() for pair in pairs]


def test_a_connection_that_was_shut_down_cannot_be_held(listener: Listener, pairs: list[Pair]) -> None:
    """Its request ends by itself."""
    with listener.hold(pairs[0].ours.fileno()):
        assert not pairs[0].is_open()


def test_a_copy_of_a_connection_does_not_count(listener: Listener) -> None:
    """A thread may read from one."""
    with ExitStack() as opened:
        pairs = [Pair(listener, opened) for _ in range(_MAX)]
        pairs[0].ours.dup().close()
        assert [True] * _MAX == [pair.is_open() for pair in pairs]


# A receiver


@asynccontextmanager
async def silent(url: str, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connect this often and send nothing until the block ends."""
    parts = httpx.URL(url)
    pairs = [await asyncio.open_connection(parts.host, parts.port) for _ in range(count)]
    yield [reader for reader, _ in pairs]
    for _, writer in pairs:
        writer.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "with TLS"])
async def test_silent_clients_keep_no_sender_out(start: Start, tmp_path: Path, *, tls: bool) -> None:
    """There are never more than the limit, also during handshakes, and each sender gets its response."""
    authority = Authority(tmp_path / "authority")
    mine = authority.issue()
    files = {"tls_cert": mine.cert, "tls_key": mine.key} if tls else {}
    context = await asyncio.to_thread(client_context, authority.ca_file)
    async with (
        start(**files) as receiver,
        httpx.AsyncClient(base_url=receiver.url, verify=context, trust_env=False) as client,
        silent(receiver.url, CONNECTIONS_MAX + 50) as readers,
    ):
        await eventually(lambda: sum(reader.at_eof() for reader in readers) == 50)
        assert 200 == (await client.get("/healthz")).status_code


async def test_an_upload_goes_on_among_silent_clients(start: Start, package: bytes) -> None:
    """It is authenticated, so it is not closed for others."""
    whole = written_upload(package)
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write(whole[:-100])
        await eventually(lambda: len(receiver.staged()) == 1)
        async with silent(receiver.url, CONNECTIONS_MAX + 50) as readers:
            await eventually(lambda: sum(one.at_eof() for one in readers) == 50)
            writer.write(whole[-100:])
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 201 ")

"""Uploads that are large enough to be read directly from the socket."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.limits import DIRECT_READ_TAIL_BYTES, PIECE_BYTES
from support.archives.archives import image_members, written
from support.eventually import eventually
from support.http.raw import BOUNDARY, written_upload
from support.receiver.in_process import Running, Start

_MARK = b"\r\n--" + BOUNDARY


@pytest.fixture(scope="module")
def large() -> bytes:
    """A package of five pieces and some bytes."""
    return written({"noise": os.urandom(5 * PIECE_BYTES + 12_345)} | image_members())


async def status_of(receiver: Running, *pieces: bytes) -> int:
    """Send these, each after the receiver had time to read the one before; return the status."""
    async with receiver.connected() as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            with suppress(ConnectionError):  # the response came first
                await writer.drain()
            await asyncio.sleep(0.05)
        return int((await reader.readuntil(b"\r\n")).split()[1])


def kept(receiver: Running) -> Sequence[bytes]:
    """Return the package files in the store."""
    return [(receiver.store / "packages" / name / "package").read_bytes() for name in receiver.packages()]


@pytest.mark.parametrize("cut", [500, 2_000, 70_000, PIECE_BYTES, 3 * PIECE_BYTES + 1, -DIRECT_READ_TAIL_BYTES, -20])
async def test_it_does_not_matter_where_the_body_is_split(start: Start, large: bytes, cut: int) -> None:
    """The stored package is the one that was sent."""
    whole = written_upload(large)
    async with start() as receiver:
        assert 201 == await status_of(receiver, whole[:cut], whole[cut:])
        assert kept(receiver) == [large]


@pytest.mark.parametrize("length", range(1, len(_MARK)))
async def test_the_server_may_stop_where_a_boundary_could_begin(start: Start, large: bytes, length: int) -> None:
    """The parser goes on until it is clear that it was none."""
    package = bytearray(large)
    at = 200_000
    package[at : at + length] = _MARK[:length]
    whole = written_upload(bytes(package))
    cut = whole.index(package[at - 50 : at]) + 50 + length
    async with start() as receiver:
        assert 201 == await status_of(receiver, whole[:cut], whole[cut:])
        assert kept(receiver) == [bytes(package)]


def with_length(request: bytes, length: int) -> bytes:
    """Return the request with another announced length."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [b"Content-Length: %d" % length if b"Content-Length" in line else line for line in head.split(b"\r\n")]
    return b"\r\n".join([*lines, b"", body])


def body_of(request: bytes) -> bytes:
    """Return a request's body."""
    return request.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("more", [3, 100, DIRECT_READ_TAIL_BYTES, 2 * PIECE_BYTES, 3 * PIECE_BYTES])
async def test_no_more_than_the_announced_length_is_read(start: Start, large: bytes, more: int) -> None:
    """The form does not end where the body ends: 400, and nothing is stored."""
    whole = written_upload(large)
    async with start() as receiver:
        assert 400 == await status_of(receiver, with_length(whole, len(body_of(whole)) - more))
        assert ([], []) == (receiver.packages(), receiver.staged())
        figures = (await receiver.client.get("/metrics")).text
    assert float(figures.split("upload_bytes_total ")[-1].split()[0]) <= len(large)


@pytest.mark.parametrize("cut", [1, 30, DIRECT_READ_TAIL_BYTES, PIECE_BYTES, 3 * PIECE_BYTES])
async def test_a_form_that_is_cut_short_is_refused_at_once(start: Start, large: bytes, cut: int) -> None:
    """All announced bytes have arrived, so the receiver does not wait for more."""
    whole = written_upload(large)[: -cut - len(b"\r\n")]
    async with start(idle_timeout_seconds=1000) as receiver:
        assert 400 == await status_of(receiver, with_length(whole, len(body_of(whole))))
        assert ([], []) == (receiver.packages(), receiver.staged())


@pytest.mark.parametrize("after", [b"x", b"\r\n", bytes(100), bytes(DIRECT_READ_TAIL_BYTES), bytes(3 * PIECE_BYTES)])
async def test_bytes_after_the_form_are_refused(start: Start, large: bytes, after: bytes) -> None:
    """Within the announced length, also if there are enough to be read directly."""
    whole = written_upload(large) + after
    async with start() as receiver:
        assert 400 == await status_of(receiver, with_length(whole, len(body_of(whole))))
        assert ([], []) == (receiver.packages(), receiver.staged())


async def test_bytes_after_the_announced_length_are_another_request(start: Start, large: bytes) -> None:
    """They are not read as part of the package, and the connection ends with the response."""
    async with start() as receiver:
        assert 201 == await status_of(receiver, written_upload(large) + b"GET /healthz HTTP/1.1\r\n")
        assert kept(receiver) == [large]


@pytest.mark.parametrize("where", ["in a piece", "between pieces", "before the rest"])
@pytest.mark.parametrize("shift", [1, 7, len(_MARK) - 1])
async def test_a_boundary_inside_the_package_is_refused(start: Start, large: bytes, where: str, shift: int) -> None:
    """Wherever it is."""
    whole = bytearray(written_upload(large))
    first = 200_000  # the parser sees this much, and the first piece begins there
    at = {
        "in a piece": first + PIECE_BYTES // 2,
        "between pieces": first + PIECE_BYTES - shift,
        "before the rest": len(whole) - DIRECT_READ_TAIL_BYTES - shift,
    }[where]
    whole[at : at + len(_MARK)] = _MARK
    async with start() as receiver:
        assert 400 == await status_of(receiver, bytes(whole[:first]), bytes(whole[first:]))
        assert ([], []) == (receiver.packages(), receiver.staged())


async def test_a_sender_that_disconnects_leaves_nothing(start: Start, large: bytes) -> None:
    """And the upload is counted as broken off."""
    async with start() as receiver:
        async with receiver.connected() as (_, writer):
            writer.write(written_upload(large)[: 3 * PIECE_BYTES])
            await eventually(lambda: len(receiver.staged()) == 1)
        await eventually(lambda: receiver.staged() == [])
        await receiver.counted("uploads_broken_off_total", 1)


async def test_a_sender_that_resets_the_connection_leaves_nothing(start: Start, large: bytes) -> None:
    """As one that disconnects."""
    async with start() as receiver, receiver.connected() as (_, writer):
        writer.write(written_upload(large)[: 3 * PIECE_BYTES])
        await eventually(lambda: len(receiver.staged()) == 1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await eventually(lambda: receiver.staged() == [])


async def test_a_sender_that_falls_silent_is_refused(start: Start, large: bytes) -> None:
    """With 408."""
    async with start(idle_timeout_seconds=0.3) as receiver:
        assert 408 == await status_of(receiver, written_upload(large)[: 3 * PIECE_BYTES])
        assert [] == receiver.staged()


async def test_the_connection_ends_with_the_response(start: Start, large: bytes) -> None:
    """The HTTP server has not seen all of the body, so it announces the end."""
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write(written_upload(large))
        response = await reader.read()
    assert b"\r\nconnection: close\r\n" in response


async def test_a_receiver_that_stops_does_not_wait_for_a_silent_sender(start: Start, large: bytes) -> None:
    """Its read is cancelled when the time for uploads in progress is over, and nothing is left."""
    async with connected_after_stop(start, large) as (store, reader):
        assert [] == list((store / "staging").iterdir())
        assert b"" == await reader.read()


@asynccontextmanager
async def connected_after_stop(start: Start, large: bytes) -> AsyncIterator[tuple[Path, asyncio.StreamReader]]:
    """Stop a receiver during an upload."""
    async with start(shutdown_seconds=0.2) as receiver:
        url = httpx.URL(receiver.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(written_upload(large)[: 3 * PIECE_BYTES])
        await eventually(lambda: len(receiver.staged()) == 1)
    yield receiver.store, reader
    writer.close()

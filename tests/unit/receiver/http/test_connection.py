"""Heads that are too large or too slow, requests that come too early, and responses that the client does not read."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.connection import (
    BoundedProtocol,
    bounded_protocol,
    connection_of,
)
from support.eventually import eventually
from support.receiver.in_process import Start, form

_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
_CHUNKED = b"POST /deploy HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
_SOON = 0.2
_LARGE_BYTES = 64 << 20  # more than a kernel keeps of it


def refusal(response: bytes) -> tuple[int, str, bool]:
    """Return the status and code of a refusal, and whether it has a recovery."""
    head, _, content = response.partition(b"\r\n\r\n")
    document = json.loads(content)
    assert b"\r\nconnection: close" in head
    return int(head.split()[1]), document["error_code"], bool(document["recovery"])


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /healthz HT", _HEALTH])
async def test_an_unfinished_head_is_refused(start: Start, sent: bytes) -> None:
    """With 408, wherever it stops; the connection is closed."""
    async with start(idle_timeout_seconds=_SOON) as receiver, receiver.connected() as (reader, writer):
        writer.write(sent)
        assert (408, "TRANSFER_FAILED", True) == refusal(await reader.read())


@pytest.mark.parametrize("begin", [b"GET /", _HEALTH + b"X: ", _HEALTH])
async def test_a_head_that_is_too_large_is_refused(start: Start, begin: bytes) -> None:
    """With 431: a long path, a long header, many headers."""
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write(begin + b"X: y\r\n" * 11_000 if begin == _HEALTH else begin + b"x" * 66_000)
        assert (431, "VALIDATION_ERROR", True) == refusal(await reader.read())


@pytest.mark.parametrize("sent", [b"\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET  / HTTP/1.1\r\nHost : x\r\n\r\n"])
async def test_bytes_that_are_not_http_are_refused(start: Start, sent: bytes) -> None:
    """With 400, and the same body as every refusal."""
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write(sent)
        assert (400, "VALIDATION_ERROR", True) == refusal(await reader.read())


@pytest.mark.parametrize("begin", [b"0\r\n", b"0\r\nX: ", b"1;x="], ids=["trailers", "one trailer", "a chunk's name"])
async def test_trailers_and_chunk_frames_are_limited_too(start: Start, begin: bytes) -> None:
    """By the limit for heads."""
    more = b"X: y\r\n" * 1000 if begin == b"0\r\n" else b"x" * 6000
    sent_bytes = 0
    async with start() as receiver, receiver.connected() as (_, writer):
        writer.write(_CHUNKED + b"Content-Type: multipart/form-data; boundary=B\r\n\r\n" + begin)
        with contextlib.suppress(ConnectionError):
            while sent_bytes < _LARGE_BYTES:
                writer.write(more)
                await writer.drain()
                sent_bytes += len(more)
        assert sent_bytes < _LARGE_BYTES
        assert "uploads_broken_off_total 1" in (await receiver.client.get("/metrics")).text


async def test_each_request_of_a_connection_has_its_own_limits(start: Start) -> None:
    """Bytes of earlier requests do not count."""
    filler = b"X: " + b"x" * 40_000 + b"\r\n\r\n"
    async with start() as receiver, receiver.connected() as (reader, writer):
        for _ in range(3):
            writer.write(_HEALTH + filler)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("count", [2, 3, 1000])
async def test_a_request_that_comes_too_early_ends_the_connection(start: Start, count: int) -> None:
    """The one before it gets its response, and nothing is queued."""
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write((_HEALTH + b"\r\n") * count)
        responses = (await reader.read()).split(b"HTTP/1.1 ")
    assert [b"", b"200"] == [response[:3] for response in responses]


async def test_a_request_may_follow_a_body_that_came_after_its_response(start: Start) -> None:
    """The response may come before the request's end; the next one begins after both."""
    request = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n"
    async with start() as receiver, receiver.connected() as (reader, writer):
        for _ in range(2):
            writer.write(request)
            assert (await reader.readuntil(b'"}')).startswith(b"HTTP/1.1 405 ")
            writer.write(b"body")
        writer.write(_HEALTH + b"\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


async def test_a_client_cannot_send_for_ever_after_its_response(start: Start) -> None:
    """The connection is closed, without a second response."""
    request = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
    async with start(idle_timeout_seconds=_SOON) as receiver, receiver.connected() as (reader, writer):
        writer.write(request)
        await reader.readuntil(b'"}')
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0.01)
            assert b"" == await reader.read()


# Responses that the client does not read


class Served:
    """A server with the application of a test, and its connections."""

    def __init__(self) -> None:
        self.server: Server
        self.url = ""

    async def connect(self) -> socket.socket:
        """Connect with a small receive buffer."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0)
        host, _, port = self.url.rpartition(":")
        await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
        return client

    @property
    def connections(self) -> list[BoundedProtocol]:
        """The open connections."""
        return [one for one in self.server.server_state.connections if isinstance(one, BoundedProtocol)]

    @property
    def buffered_bytes(self) -> int:
        """How many bytes wait for clients to read them."""
        return sum(one.transport.get_write_buffer_size() for one in self.connections)


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with more than a client's buffer holds."""
    del scope, receive
    headers = [(b"content-length", b"%d" % _LARGE_BYTES)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(_LARGE_BYTES), "more_body": False})


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond for ever, as fast as the client reads."""
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        await asyncio.sleep(0)  # a server whose client has gone takes everything at once


@contextlib.asynccontextmanager
async def served(app: Any, timeout_seconds: float) -> AsyncIterator[Served]:
    """Serve an application."""
    config = Config(
        app,
        http=bounded_protocol(timeout_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    await asyncio.to_thread(config.load)
    served = Served()
    served.server = Server(config)
    served.server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served.url = f"127.0.0.1:{listener.getsockname()[1]}"
        await served.server.startup([listener])
        yield served
        await served.server.shutdown([listener])


@pytest.mark.parametrize("app", [large, endless])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"], ids=["kept open", "closed"])
async def test_a_response_that_the_client_does_not_read_is_aborted(app: Any, version: bytes) -> None:
    """After its time limit, whether or not the connection was to be kept, and though more of it was to come."""
    async with served(app, _SOON) as it:
        with await it.connect() as client:
            await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/%b\r\nHost: x\r\n\r\n" % version)
            await eventually(lambda: it.server.server_state.total_requests == 1 or it.buffered_bytes > 0)
            await eventually(lambda: not it.connections)


async def test_a_request_before_the_last_response_was_read_ends_the_connection() -> None:
    """It gets no response: a client that reads nothing could fill the memory with responses."""
    async with served(large, _SOON) as it:
        with await it.connect() as client:
            for _ in range(3):
                await asyncio.get_running_loop().sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                await eventually(lambda: it.server.server_state.total_requests == 1)
            await eventually(lambda: not it.connections)
        assert 1 == it.server.server_state.total_requests


async def test_a_response_that_is_read_slowly_but_in_time_arrives_complete() -> None:
    """To the last byte."""
    async with served(large, 60) as it:
        reader, writer = await asyncio.open_connection(*it.url.split(":"))
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert _LARGE_BYTES == len(await reader.readexactly(_LARGE_BYTES))
        writer.close()
        await writer.wait_closed()


async def test_an_upload_may_be_slower_than_a_head(start: Start, package: bytes) -> None:
    """Its time-out counts from piece to piece."""
    async with start(idle_timeout_seconds=2) as receiver:
        whole = httpx.Request("POST", "http://x", data=form(package), files={"package": ("p", package)})

        async def pieces() -> AsyncIterator[bytes]:
            body = whole.read()
            for piece in range(8):
                yield body[len(body) * piece // 8 : len(body) * (piece + 1) // 8]
                await asyncio.sleep(0.3)

        headers = {"Content-Type": whole.headers["Content-Type"]}
        assert 201 == (await receiver.client.post("/deploy", content=pieces(), headers=headers)).status_code


# What we stand on inside uvicorn; none of it is in its documentation.

_OVERRIDDEN = {
    "connection_made": "asyncio calls it with the transport, before any data",
    "connection_lost": "asyncio calls it once, whichever side has closed the connection",
    "data_received": "it hands all of its data to the parser before it returns",
    "pause_writing": "asyncio calls it when the write buffer is full",
    "resume_writing": "asyncio calls it when there is room in it again",
    "on_message_begin": "the parser calls it with the first byte of a request, before any other callback for it",
    "on_headers_complete": "the parser calls it when the head is whole; it starts the application with `scope`",
    "on_body": "the parser calls it with each piece of a body",
    "on_message_complete": "the parser calls it when the body is whole",
    "on_response_complete": "the cycle calls it when the last byte of the response was handed to the transport",
    "send_400_response": "`data_received` calls it for whatever the parser or one of our callbacks refuses",
}
_OF_THE_PROTOCOL = {
    "transport": "the connection's",
    "cycle": "the request that came last and its response; false before the first",
    "scheme": "`http` or `https`, by what the transport is",
    "scope": "the ASGI scope that the application gets",
    "url": "the request line's target",
}
_OF_A_CYCLE = {
    "body": "what was read of the body and not handed out",
    "more_body": "whether more of the body is to come",
    "response_started": "whether the response's head is out",
    "response_complete": "whether all of the response is",
    "keep_alive": "whether the connection stays open after the response",
    "default_headers": "the headers that every response gets",
}


@pytest.mark.parametrize("name", _OVERRIDDEN, ids=[f"{name}: {text}" for name, text in _OVERRIDDEN.items()])
def test_a_method_that_is_overridden_exists(name: str) -> None:
    """In uvicorn's class, and in ours instead."""
    assert callable(getattr(HttpToolsProtocol, name))
    assert getattr(HttpToolsProtocol, name) is not getattr(BoundedProtocol, name)


async def test_the_attributes_that_are_read_have_the_expected_meaning() -> None:
    """Read inside a request of which half the body has arrived, and after its response."""
    seen: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connection = connection_of(scope)
        seen.update({name: getattr(connection, name) for name in _OF_THE_PROTOCOL})
        seen.update({name: getattr(connection.cycle, name) for name in _OF_A_CYCLE})
        seen["body"] = bytes(connection.cycle.body)
        connection.detach_parser()
        await receive()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        seen["started"] = connection.cycle.response_started
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with served(app, 60) as it:
        reader, writer = await asyncio.open_connection(*it.url.split(":"))
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
        response = await reader.read()
        writer.close()
        await writer.wait_closed()
    cycle = seen["cycle"]
    before = {name: seen[name] for name in ("body", "more_body", "response_started", "response_complete", "keep_alive")}
    assert {
        "body": b"half",
        "more_body": True,
        "response_started": False,
        "response_complete": False,
        "keep_alive": True,
    } == before
    assert ("http", True, True) == (seen["scheme"], seen["scope"] is cycle.scope, seen["started"])
    assert (True, False) == (cycle.response_complete, cycle.keep_alive)
    assert b"\r\nconnection: close\r\n" in response

"""Heads of requests that are too large or too slow."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from support.receiver import Start, form

_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: receiver\r\n"


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /healthz HT", _HEALTH])
async def test_a_head_that_does_not_come_to_its_end_is_refused(start: Start, sent: bytes) -> None:
    """With 408, wherever it stops; the connection is closed."""
    async with start(idle_timeout_seconds=0.2) as receiver, receiver.connected() as (reader, writer):
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize("begin", [b"GET /", _HEALTH + b"X: ", _HEALTH])
async def test_a_head_that_is_too_large_is_refused(start: Start, begin: bytes) -> None:
    """With 431: a long path, a long header, many headers."""
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write(begin + b"X: y\r\n" * 11_000 if begin == _HEALTH else begin + b"x" * 66_000)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


async def test_requests_that_follow_each_other_have_their_own_bounds(start: Start) -> None:
    """What was sent before counts for nothing."""
    filler = b"X: " + b"x" * 40_000 + b"\r\n\r\n"
    async with start() as receiver, receiver.connected() as (reader, writer):
        for _ in range(3):
            writer.write(_HEALTH + filler)
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")


async def test_requests_that_are_sent_before_the_answer_are_answered(start: Start) -> None:
    """In their order, also where the last one is still on its way."""
    async with start() as receiver, receiver.connected() as (reader, writer):
        writer.write((_HEALTH + b"\r\n") * 3 + _HEALTH)
        answers = [await reader.readuntil(b"}") for _ in range(3)]
        writer.write(b"\r\n")
        answers.append(await reader.readuntil(b"}"))
    assert [b"HTTP/1.1 200 OK"] * 4 == [answer.split(b"\r\n")[0] for answer in answers]


async def test_an_upload_may_be_slower_than_a_head(start: Start, package: bytes) -> None:
    """Its own time-out counts from piece to piece."""
    async with start(idle_timeout_seconds=0.5) as receiver:
        whole = httpx.Request("POST", "http://x", data=form(package), files={"package": ("p", package)})

        async def pieces() -> AsyncIterator[bytes]:
            body = whole.read()
            for piece in range(8):
                yield body[len(body) * piece // 8 : len(body) * (piece + 1) // 8]
                await asyncio.sleep(0.1)

        headers = {"Content-Type": whole.headers["Content-Type"]}
        assert (await receiver.client.post("/deploy", content=pieces(), headers=headers)).status_code == 201

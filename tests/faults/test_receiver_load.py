"""More than a receiver can take: packages over its limit, senders that are slow, heads without an end, many at once.

The receiver is a process of its own; refused requests get a response, and all others are served meanwhile.
"""

import asyncio
import logging
import os
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from support.archives.archives import image_archive, layer
from support.engine.engines import RealEngine
from support.engine.load_gate import LoadGate
from support.eventually import eventually_in_thread
from support.http.raw import RawAnswer, RawConnection, written_upload
from support.receiver.deliveries import Deliveries, failed

LIMIT_BYTES = 2_000_000
LIMIT_GB = str(LIMIT_BYTES / 1e9)
PIECE_BYTES = 1 << 20
UPLOADS_AT_ONCE = 16  # the default of a receiver
SOON = {"DEPLOYMENT_RECEIVER_IDLE_TIMEOUT_SECONDS": "1"}


@pytest.fixture
def deliveries(tmp_path: Path, real_engine: RealEngine) -> Iterator[Deliveries]:
    """Packages and receivers."""
    with LoadGate(real_engine.docker_host) as gate:
        yield Deliveries(tmp_path, real_engine, gate)


# Too large


async def test_a_package_of_an_honest_length(deliveries: Deliveries) -> None:
    """PACKAGE_TOO_LARGE, once, and not a byte of it is stored."""
    large = await asyncio.to_thread(deliveries.parcel, [layer(hello=os.urandom(2 * LIMIT_BYTES))])
    with deliveries.receiver("--max-package-size-gb", LIMIT_GB):
        output = await deliveries.send(large, attempts=3)
        figures = (await deliveries.ask("/metrics")).text
    assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == failed(output)
    assert "upload_bytes_total 0.0\n" in figures
    assert ([], []) == (deliveries.kept(), deliveries.staged())


async def test_a_package_of_unknown_length(deliveries: Deliveries) -> None:
    """413 where it exceeds the limit: no byte over it is written, and no more than a piece over it is read."""
    large = await asyncio.to_thread(deliveries.parcel, [layer(hello=os.urandom(8 * LIMIT_BYTES))])
    request = deliveries.request(large, is_chunked=True)
    with deliveries.receiver("--max-package-size-gb", LIMIT_GB) as receiver:
        # The kernel would refuse one byte more, with 507 as the response.
        resource.prlimit(receiver.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))
        async with RawConnection(receiver.url) as connection:
            _, response = await asyncio.gather(connection.send(request), connection.answer())
        seen = float((await deliveries.ask("/metrics")).text.split("upload_bytes_total ")[-1].split()[0])
    assert response is not None
    assert (413, "PACKAGE_TOO_LARGE") == (response.status, response.json()["error_code"])
    assert LIMIT_BYTES - PIECE_BYTES < seen <= LIMIT_BYTES
    assert ([], []) == (deliveries.kept(), deliveries.staged())


async def test_a_package_that_unpacks_to_too_much(deliveries: Deliveries) -> None:
    """PACKAGE_TOO_LARGE, once, in the upload's response; nothing is stored, and the engine is not called."""
    bomb = await asyncio.to_thread(deliveries.parcel, [layer(hello=bytes(15 * LIMIT_BYTES))])
    assert len(bomb.content) < LIMIT_BYTES
    with deliveries.receiver("--max-package-size-gb", LIMIT_GB):
        output = await deliveries.send(bomb, attempts=3)
        assert [] == await deliveries.listed()
    assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == failed(output)
    assert ([], [], 0) == (deliveries.kept(), deliveries.staged(), deliveries.gate.loads)


# Too slow


@asynccontextmanager
async def responding(deliveries: Deliveries) -> AsyncIterator[None]:
    """Check that `/healthz` responds, again and again, within the block."""
    responses: list[int] = []

    async def ask() -> None:
        while True:
            responses.append((await deliveries.ask("/healthz")).status_code)

    asking = asyncio.create_task(ask())
    try:
        yield
        before = len(responses)
        # once more, in the state at the end
        assert await eventually_in_thread(lambda: len(responses) > before or asking.done())
    finally:
        asking.cancel()
        (ended,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), ended
    assert {200} == set(responses)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5], ids=["its head", "its fields", "its file"])
async def test_a_body_that_stalls(deliveries: Deliveries, share: float) -> None:
    """408 after the idle time-out, wherever in the body; nothing of it stays."""
    request = written_upload(image_archive(layers=[os.urandom(1_000_000)]))
    body = request.index(b"\r\n\r\n") + 4
    with deliveries.receiver(**SOON) as receiver:
        async with RawConnection(receiver.url) as connection, responding(deliveries):
            await connection.send(request[: body + int(share * len(request))])
            response = await connection.answer()
    assert response is not None
    assert (408, "TRANSFER_FAILED", True) == (
        response.status,
        response.json()["error_code"],
        bool(response.json()["recovery"]),
    )
    assert ([], []) == (deliveries.kept(), deliveries.staged())


async def test_a_head_of_a_byte_at_a_time(deliveries: Deliveries) -> None:
    """It never ends, and is refused with 408, or by closing the connection."""
    with deliveries.receiver(**SOON) as receiver:
        async with RawConnection(receiver.url) as connection, responding(deliveries):
            await connection.send(b"POST /deploy HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            while await connection.send(b"x"):  # noqa: ASYNC110 - it has nothing to wait for
                await asyncio.sleep(0.01)
            response = await connection.answer()
    assert response is None or 408 == response.status


@pytest.mark.parametrize("line", [b"X-Large: %b\r\n" % (b"x" * 1000), b"x" * 1000], ids=["many lines", "one line"])
async def test_a_head_without_an_end(deliveries: Deliveries, line: bytes) -> None:
    """It is refused, or the connection closed, long before a gigabyte of it has arrived."""
    sent = 0
    with deliveries.receiver() as receiver:
        async with RawConnection(receiver.url) as connection, responding(deliveries):
            await connection.send(b"POST /deploy HTTP/1.1\r\nX-First: ")
            while await connection.send(line) and sent < 1_000_000_000:
                sent += len(line)
            response = await connection.answer()
    assert response is None or response.status in {400, 431}
    assert sent < 20_000_000


# Too many


class Upload:
    """An upload that stops halfway until `finish` is called.

    Args:
        connection: To the receiver.

    Attributes:
        response: What the receiver responses.
    """

    def __init__(self, connection: RawConnection) -> None:
        self._connection = connection
        self._request = written_upload(image_archive(layers=[os.urandom(100_000)]))

    async def begin(self) -> None:
        """Send the first half."""
        await self._connection.send(self._request[: len(self._request) // 2])
        self.answer = asyncio.create_task(self._connection.answer())

    async def finish(self) -> int | None:
        """Send the rest; return the status."""
        await self._connection.send(self._request[len(self._request) // 2 :])
        response = await self.answer
        return None if response is None else response.status


@asynccontextmanager
async def uploads(url: str, count: int) -> AsyncIterator[list[Upload]]:
    """Begin this many at once; their connections are closed at the end of the block."""
    async with AsyncExitStack() as opened:
        begun = [Upload(await opened.enter_async_context(RawConnection(url))) for _ in range(count)]
        await asyncio.gather(*(one.begin() for one in begun))
        yield begun


async def responses(begun: Sequence[Upload], count: int) -> list[RawAnswer]:
    """Wait until this many have a response; return the responses."""
    pending = {one.answer for one in begun}
    while len(begun) - len(pending) < count:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    return [response for one in begun if one.answer not in pending and (response := one.answer.result())]


async def test_fifty_uploads_at_once(deliveries: Deliveries) -> None:
    """The surplus get 429 and a Retry-After; each of the accepted ones is stored."""
    deliveries.gate.hold = "before"  # these images are not loaded
    with deliveries.receiver() as receiver:
        async with uploads(receiver.url, 50) as begun, responding(deliveries):
            refused = await responses(begun, 50 - UPLOADS_AT_ONCE)
            others = [one for one in begun if not one.answer.done()]
            statuses = await asyncio.gather(*(one.finish() for one in others))
    assert [(429, "1")] * (50 - UPLOADS_AT_ONCE) == [(one.status, one.headers["retry-after"]) for one in refused]
    assert [201] * UPLOADS_AT_ONCE == statuses
    assert (UPLOADS_AT_ONCE, []) == (len(deliveries.kept()), deliveries.staged())


async def test_five_transfers_among_fifty_uploads(deliveries: Deliveries, caplog: pytest.LogCaptureFixture) -> None:
    """Each is refused while the receiver is full, retries, and ends loaded."""
    caplog.set_level(logging.WARNING)
    parcels = [await asyncio.to_thread(deliveries.parcel) for _ in range(5)]
    with deliveries.receiver() as receiver:
        async with deliveries.sender.node(transfer_attempts=10) as node, responding(deliveries):
            async with uploads(receiver.url, 50) as begun:
                await responses(begun, 50 - UPLOADS_AT_ONCE)
                sending = [
                    asyncio.create_task(deliveries.sender.send(node, one.package_id, receiver.url, wait_for="loaded"))
                    for one in parcels
                ]
                refused = [f"attempt 1 to send package {one.package_id} failed" for one in parcels]
                assert await eventually_in_thread(lambda: all(line in caplog.text for line in refused))
            outputs = await asyncio.gather(*sending)
    assert [(True, "loaded")] * 5 == [(one.success, one.deployment_status) for one in outputs]
    assert all(one.attempts > 1 for one in outputs)
    assert (5, 5, []) == (deliveries.gate.loads, len(deliveries.kept()), deliveries.staged())


async def test_a_transfer_among_senders_that_stall(deliveries: Deliveries) -> None:
    """They occupy all places, are refused with 408, and the transfer goes on."""
    parcel = await asyncio.to_thread(deliveries.parcel)
    with deliveries.receiver(**SOON) as receiver:
        async with uploads(receiver.url, UPLOADS_AT_ONCE) as begun, responding(deliveries):
            output = await deliveries.send(parcel, attempts=10)
            stalled = await responses(begun, UPLOADS_AT_ONCE)
    assert (True, [408] * UPLOADS_AT_ONCE) == (output.success, [one.status for one in stalled])

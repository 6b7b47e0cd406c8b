"""A receiver that is absent, refuses, breaks, stalls or loses its answer: the right code, and the next call works.

The receiver is the real one as a process wherever it can be brought to it; a scripted one or bare sockets say the rest.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode, ModelPackageTransferOutput
from support.archives.archives import config_of, image_archive, layer, sha256
from support.engine.engines import RealEngine
from support.http.fault_proxy import Fault, FaultProxy
from support.receiver.process import ReceiverProcess
from support.receiver.scripted import Reply, ScriptedReceiver, receipt
from support.sending.node import KEY, SECRET, Sender

LARGE_BYTES = 24_000 * 1024  # far more than sockets hold
NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}

Told = tuple[ErrorCode | None, int]


@pytest.fixture
def sender(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Sender]:
    """Whoever sends; when the test is over, no line of the log has held the key."""
    caplog.set_level(logging.DEBUG)
    yield Sender(tmp_path / "packages")
    assert SECRET not in caplog.text


@pytest.fixture
async def package(sender: Sender) -> str:
    """A package of 1.5 MB."""
    return await asyncio.to_thread(sender.keep_image, 1_500 * 1024)


@pytest.fixture
async def large(sender: Sender) -> str:
    """A package that cannot be sent without somebody reading it."""
    return await asyncio.to_thread(sender.keep_image, LARGE_BYTES)


def told(output: ModelPackageTransferOutput) -> Told:
    """The code of a failure, which also says what to do, and how often it was tried."""
    assert not output.success
    assert not output.transfer_success
    assert output.error_message
    assert output.recovery
    return output.error_code, output.attempts


async def page(receiver: ReceiverProcess, path: str) -> httpx.Response:
    """Ask the receiver for something."""
    async with httpx.AsyncClient(base_url=receiver.url, trust_env=False) as client:
        return await client.get(path)


# Row 16: refused, no such host


async def test_nobody_listens(sender: Sender, package: str, tmp_path: Path) -> None:
    """REMOTE_UNREACHABLE as often as is configured; when somebody listens, the same node gets through."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with sender.node() as node:
        output = await sender.send(node, package, f"http://127.0.0.1:{port}")
        with ReceiverProcess(tmp_path / "receiver", "--port", str(port), environ=NO_ENGINE) as receiver:
            again = await sender.send(node, package, receiver.url)

    assert (ErrorCode.REMOTE_UNREACHABLE, 3) == told(output)
    assert "Connection refused" in str(output.error_message)
    assert (True, True, 1) == (again.success, again.checksum_verified, again.attempts)


async def test_there_is_no_such_host(sender: Sender, package: str) -> None:
    """REMOTE_UNREACHABLE, naming it."""
    async with sender.node(transfer_attempts=2) as node:
        output = await sender.send(node, package, "http://receiver.invalid:8001")

    assert (ErrorCode.REMOTE_UNREACHABLE, 2) == told(output)
    assert "receiver.invalid:8001: the name cannot be resolved" in str(output.error_message)


# Row 17: 413 before the body is read


async def test_a_413_is_heard_every_time(sender: Sender, large: str, package: str, tmp_path: Path) -> None:
    """From our receiver, which says it before the first byte of the file, and once; a smaller one goes through."""
    with ReceiverProcess(tmp_path / "receiver", "--max-package-size-gb", "0.01", environ=NO_ENGINE) as receiver:
        async with sender.node() as node:
            for _ in range(5):
                output = await sender.send(node, large, receiver.url)

                assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == told(output)
                assert "the receiver takes packages of up to 10000000 bytes" in str(output.error_message)
                assert sender.told < LARGE_BYTES
            assert (await sender.send(node, package, receiver.url)).success


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_413_of_a_rude_receiver_is_heard_every_time(sender: Sender, large: str, end: str) -> None:
    """One that reads nothing and goes away at once."""
    async with (
        ScriptedReceiver(Reply(413, "no", read_bytes=0, end=end)) as receiver,  # type: ignore[arg-type]
        sender.node() as node,
    ):
        for _ in range(5):
            assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == told(await sender.send(node, large, receiver.url))


# Row 18: refusals and answers that are none


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (None, "the request must be signed"),
        (f"main:{'x' * 32}", "the signature does not match"),
        (f"other:{SECRET}", "the receiver has no key 'other'"),
        (KEY, "was signed for 127.0.0.1:"),
    ],
    ids=["no key", "another key", "an unknown key", "another receiver"],
)
async def test_a_sender_that_is_not_let_in(
    sender: Sender, large: str, tmp_path: Path, key: str | None, why: str
) -> None:
    """TRANSFER_FAILED, once, with the receiver's reason, before the package was sent."""
    environ = NO_ENGINE | {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": KEY}
    with ReceiverProcess(tmp_path / "receiver", "--host-name", "edge.example", environ=environ) as receiver:
        async with sender.node(signing_key=key) as node:
            output = await sender.send(node, large, receiver.url)

    assert (ErrorCode.TRANSFER_FAILED, 1) == told(output)
    assert "401 Unauthorized" in str(output.error_message)
    assert why in str(output.error_message)
    assert SECRET not in "\n".join(receiver.lines)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(403, {"error_message": "not you"}), "403 Forbidden: not you"),
        (Reply(body="<html>Welcome!</html>", headers={"Content-Type": "text/html"}), "that is no JSON: a web page"),
        (Reply(body={"checksum_verified": True}), "whose deployment_id cannot be used"),
    ],
)
async def test_what_is_no_receipt_is_heard_once(sender: Sender, package: str, reply: Reply, why: str) -> None:
    """TRANSFER_FAILED, and trying again would not help."""
    async with ScriptedReceiver(reply) as receiver, sender.node() as node:
        output = await sender.send(node, package, receiver.url)

        assert 1 == receiver.connections
    assert (ErrorCode.TRANSFER_FAILED, 1) == told(output)
    assert why in str(output.error_message)


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_nothing_goes_where_a_redirect_points(sender: Sender, package: str, status: int) -> None:
    """Neither the package nor the signature."""
    async with ScriptedReceiver(receipt()) as elsewhere, sender.node(signing_key=KEY) as node:
        async with ScriptedReceiver(Reply(status, headers={"Location": f"{elsewhere.url}/deploy"})) as receiver:
            output = await sender.send(node, package, receiver.url)

        assert 0 == elsewhere.connections
    assert (ErrorCode.TRANSFER_FAILED, 1) == told(output)
    assert "give the URL of the receiver itself" in str(output.recovery)


async def test_no_signed_question_goes_elsewhere(sender: Sender, package: str) -> None:
    """Where a receipt points to another machine to ask for the deployment."""
    async with ScriptedReceiver(Reply(body={"deployment_id": "d-1", "status": "loaded"})) as elsewhere:
        reply = receipt(status="received", status_url=f"{elsewhere.url}/deployments/d-1")
        async with ScriptedReceiver(reply) as receiver, sender.node(signing_key=KEY) as node:
            output = await sender.send(node, package, receiver.url, wait_for="loaded")

        assert 0 == elsewhere.connections
    assert (ErrorCode.TRANSFER_FAILED, 1) == told(output)
    assert "d-1" == output.remote_deployment_id


async def test_an_answer_of_a_gigabyte_is_left_where_it_is(sender: Sender, package: str) -> None:
    """The sender goes away after 64 KB; what else was sent is what sockets hold."""
    passed = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal passed
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while passed < 1_000_000_000:
                writer.write(bytes(65_536))
                await writer.drain()
                passed += 65_536
        except OSError:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    async with sender.node() as node:
        output = await sender.send(node, package, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await server.wait_closed()

    assert (ErrorCode.TRANSFER_FAILED, 1) == told(output)
    assert "with an answer that does not end" in str(output.error_message)
    assert passed < 16_000_000


# Row 19: breaks and stalls


async def test_a_transfer_that_breaks_is_tried_again(sender: Sender, large: str, tmp_path: Path) -> None:
    """Twice reset in the middle, the third attempt gets through, whole and verified, and only once."""
    cuts = Fault(cut_after_bytes=1_000_000), Fault(cut_after_bytes=LARGE_BYTES - 1)
    with ReceiverProcess(tmp_path / "receiver", environ=NO_ENGINE) as receiver:
        async with FaultProxy(receiver.url, *cuts) as proxy, sender.node() as node:
            output = await sender.send(node, large, proxy.url)
        figures = (await page(receiver, "/metrics")).text

    assert (True, True, 3) == (output.success, output.checksum_verified, output.attempts)
    assert LARGE_BYTES == output.bytes_transferred
    assert "uploads_stored_total 1.0\n" in figures
    assert [] == list((tmp_path / "receiver" / "staging").iterdir())


async def test_a_transfer_that_always_breaks_fails(sender: Sender, large: str) -> None:
    """TRANSFER_FAILED after as many attempts as are configured; then the way is free, and the node gets through."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, *[Fault(cut_after_bytes=1_000_000)] * 3) as proxy,
        sender.node() as node,
    ):
        output = await sender.send(node, large, proxy.url)

        assert 3 == proxy.connections
        assert (await sender.send(node, large, proxy.url)).success
    assert (ErrorCode.TRANSFER_FAILED, 3) == told(output)
    assert "broke: " in str(output.error_message)


async def test_breaking_ends_with_the_transfers_time(sender: Sender, large: str) -> None:
    """However often it may be tried, with the last break told."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, *[Fault(cut_after_bytes=1_000_000)] * 1000) as proxy,
        sender.node(transfer_attempts=1000, transfer_timeout_seconds=1) as node,
    ):
        output = await sender.send(node, large, proxy.url)

    code, attempts = told(output)
    assert ErrorCode.TRANSFER_FAILED is code
    assert 1 <= attempts < 100
    assert "did not have the package after 1 s" in str(output.error_message)


async def test_a_way_that_stalls_is_given_up(sender: Sender, large: str) -> None:
    """At the idle time-out, once in each attempt; a way that goes on then gets the package."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, *[Fault(stall_after_bytes=1_000_000)] * 2) as proxy,
        sender.node(idle_timeout_seconds=0.5, transfer_attempts=2) as node,
    ):
        output = await sender.send(node, large, proxy.url)

        async with sender.node() as patient:
            assert (await sender.send(patient, large, proxy.url)).success
    assert (ErrorCode.TRANSFER_FAILED, 2) == told(output)
    assert "it took no more bytes for too long" in str(output.error_message)


async def test_a_receiver_that_does_not_read_is_given_up(sender: Sender, large: str) -> None:
    """Its window is at zero: the kernel has taken the connection and some bytes, and nobody reads them."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with sender.node(idle_timeout_seconds=0.5, transfer_attempts=2) as node:
            output = await sender.send(node, large, f"http://127.0.0.1:{listener.getsockname()[1]}")

    assert (ErrorCode.TRANSFER_FAILED, 2) == told(output)
    assert "it took no more bytes for too long" in str(output.error_message)
    assert sender.told < LARGE_BYTES


async def test_an_answer_of_a_byte_a_second_ends_with_the_transfers_time(sender: Sender, package: str) -> None:
    """It is never idle, and never there."""
    reply = replace(receipt(), byte_seconds=1)
    async with ScriptedReceiver(reply) as receiver, sender.node(transfer_timeout_seconds=2.5) as node:
        output = await sender.send(node, package, receiver.url)

    assert (ErrorCode.TRANSFER_FAILED, 1) == told(output)
    assert "did not have the package after 2.5 s" in str(output.error_message)


# Row 20: the answer is lost


async def test_a_lost_answer_makes_no_second_deployment(
    sender: Sender, real_engine: RealEngine, tmp_path: Path
) -> None:
    """The receiver has kept the package; the retry gets the same deployment id, and the engine loads it once."""
    reference = real_engine.new_image()
    name, _, tag = reference.rpartition(":")
    layers = [layer(hello=uuid4().bytes)]
    digest = f"sha256:{sha256(config_of(layers))}"
    package_id = await asyncio.to_thread(
        lambda: sender.keep(
            image_archive("legacy", reference, layers),
            container_name=name,
            image_tag=tag,
            compression="none",
            config_digest=digest,
        )
    )
    since = int(time.time())
    with ReceiverProcess(tmp_path / "receiver") as receiver:
        async with FaultProxy(receiver.url, Fault(drop_answer=True)) as proxy, sender.node() as node:
            output = await sender.send(node, package_id, proxy.url, wait_for="loaded")
            again = await sender.send(node, package_id, proxy.url, wait_for="loaded")
        figures = (await page(receiver, "/metrics")).text
        kept: list[dict[str, Any]] = (await page(receiver, "/deployments")).json()["deployments"]

    assert (True, 2, "loaded") == (output.success, output.attempts, output.deployment_status)
    assert [output.remote_deployment_id] == [one["deployment_id"] for one in kept]
    assert again.remote_deployment_id == output.remote_deployment_id
    assert "uploads_stored_total 1.0\n" in figures
    assert "uploads_repeated_total 2.0\n" in figures
    assert 1 == await asyncio.to_thread(loads, real_engine, digest, since)


def loads(engine: RealEngine, digest: str, since: int) -> int:
    """How often the engine has loaded an image, by its own record."""
    events = engine.api.events(since=since, until=int(time.time()) + 1, filters={"event": "load"}, decode=True)
    return [event["id"] for event in events].count(digest)

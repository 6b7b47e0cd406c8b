"""A receiver that is absent, refuses, breaks, stalls or loses its response: the right code, and the next call works.

The receiver is the real one as a process wherever it can cause the fault; otherwise a scripted one or bare sockets.
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
from support.process.ports import free_port
from support.receiver.process import ReceiverProcess
from support.receiver.scripted import Reply, ScriptedReceiver, receipt
from support.sending.node import KEY, SECRET, Sender

LARGE_BYTES = 24_000 * 1024  # far more than sockets hold
NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}

CodeAndAttempts = tuple[ErrorCode | None, int]


@pytest.fixture
def sender(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Sender]:
    """The sender; after the test, no line of the log has the key."""
    caplog.set_level(logging.DEBUG)
    yield Sender(tmp_path / "packages")
    assert SECRET not in caplog.text


@pytest.fixture
async def package(sender: Sender) -> str:
    """A package of 1.5 MB."""
    return await asyncio.to_thread(sender.keep_image, 1_500 * 1024)


@pytest.fixture
async def large(sender: Sender) -> str:
    """A package that no socket buffer can hold."""
    return await asyncio.to_thread(sender.keep_image, LARGE_BYTES)


def failure_of(output: ModelPackageTransferOutput) -> CodeAndAttempts:
    """Return the code of a failure, which also has a recovery, and the number of attempts."""
    assert not output.success
    assert not output.transfer_success
    assert output.error_message
    assert output.recovery
    return output.error_code, output.attempts


async def page(receiver: ReceiverProcess, path: str) -> httpx.Response:
    """Request a page of the receiver."""
    async with httpx.AsyncClient(base_url=receiver.url, trust_env=False) as client:
        return await client.get(path)


# Row 16: refused, no such host


async def test_a_receiver_that_is_not_running(sender: Sender, package: str, tmp_path: Path) -> None:
    """REMOTE_UNREACHABLE after the configured attempts; once it runs, the same node succeeds."""
    port = free_port()
    async with sender.node() as node:
        output = await sender.send(node, package, f"http://127.0.0.1:{port}")
        with ReceiverProcess(tmp_path / "receiver", "--port", str(port), environ=NO_ENGINE) as receiver:
            again = await sender.send(node, package, receiver.url)

    assert (ErrorCode.REMOTE_UNREACHABLE, 3) == failure_of(output)
    assert "Connection refused" in str(output.error_message)
    assert (True, True, 1) == (again.success, again.checksum_verified, again.attempts)


async def test_there_is_no_such_host(sender: Sender, package: str) -> None:
    """The code is REMOTE_UNREACHABLE, and the message names the host."""
    async with sender.node(transfer_attempts=2) as node:
        output = await sender.send(node, package, "http://receiver.invalid:8001")

    assert (ErrorCode.REMOTE_UNREACHABLE, 2) == failure_of(output)
    assert "receiver.invalid:8001: the name cannot be resolved" in str(output.error_message)


# Row 17: 413 before the body is read


async def test_a_413_is_read_every_time(sender: Sender, large: str, package: str, tmp_path: Path) -> None:
    """Our receiver sends it before the first byte of the file is read; a smaller package succeeds."""
    with ReceiverProcess(tmp_path / "receiver", "--max-package-size-gb", "0.01", environ=NO_ENGINE) as receiver:
        async with sender.node() as node:
            for _ in range(5):
                output = await sender.send(node, large, receiver.url)

                assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == failure_of(output)
                assert "the receiver accepts packages of up to 10000000 bytes" in str(output.error_message)
                assert sender.sent_bytes < LARGE_BYTES
            assert (await sender.send(node, package, receiver.url)).success


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_413_of_an_abrupt_receiver_is_read_every_time(sender: Sender, large: str, end: str) -> None:
    """The receiver reads nothing and closes at once."""
    async with (
        ScriptedReceiver(Reply(413, "no", read_bytes=0, end=end)) as receiver,  # type: ignore[arg-type]
        sender.node() as node,
    ):
        for _ in range(5):
            assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == failure_of(await sender.send(node, large, receiver.url))


# Row 18: refusals and responses that are not receipts


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
async def test_a_sender_that_is_refused(sender: Sender, large: str, tmp_path: Path, key: str | None, why: str) -> None:
    """TRANSFER_FAILED, once, with the receiver's reason, before the package is sent."""
    environ = NO_ENGINE | {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": KEY}
    with ReceiverProcess(tmp_path / "receiver", "--host-name", "edge.example", environ=environ) as receiver:
        async with sender.node(signing_key=key) as node:
            output = await sender.send(node, large, receiver.url)

    assert (ErrorCode.TRANSFER_FAILED, 1) == failure_of(output)
    assert "401 Unauthorized" in str(output.error_message)
    assert why in str(output.error_message)
    assert SECRET not in "\n".join(receiver.lines)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(403, {"error_message": "not you"}), "403 Forbidden: not you"),
        (Reply(body="<html>Welcome!</html>", headers={"Content-Type": "text/html"}), "that is not JSON: a web page"),
        (Reply(body={"checksum_verified": True}), "whose deployment_id cannot be used"),
    ],
)
async def test_a_response_that_is_not_a_receipt_is_not_retried(
    sender: Sender, package: str, reply: Reply, why: str
) -> None:
    """The code is TRANSFER_FAILED, and a retry would not help."""
    async with ScriptedReceiver(reply) as receiver, sender.node() as node:
        output = await sender.send(node, package, receiver.url)

        assert 1 == receiver.connections
    assert (ErrorCode.TRANSFER_FAILED, 1) == failure_of(output)
    assert why in str(output.error_message)


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_not_followed(sender: Sender, package: str, status: int) -> None:
    """Neither the package nor the signature is sent there."""
    async with ScriptedReceiver(receipt()) as elsewhere, sender.node(signing_key=KEY) as node:
        async with ScriptedReceiver(Reply(status, headers={"Location": f"{elsewhere.url}/deploy"})) as receiver:
            output = await sender.send(node, package, receiver.url)

        assert 0 == elsewhere.connections
    assert (ErrorCode.TRANSFER_FAILED, 1) == failure_of(output)
    assert "give the URL of the receiver itself" in str(output.recovery)


async def test_no_signed_request_goes_to_another_machine(sender: Sender, package: str) -> None:
    """A receipt may name one for the status."""
    async with ScriptedReceiver(Reply(body={"deployment_id": "d-1", "status": "loaded"})) as elsewhere:
        reply = receipt(status="received", status_url=f"{elsewhere.url}/deployments/d-1")
        async with ScriptedReceiver(reply) as receiver, sender.node(signing_key=KEY) as node:
            output = await sender.send(node, package, receiver.url, wait_for="loaded")

        assert 0 == elsewhere.connections
    assert (ErrorCode.TRANSFER_FAILED, 1) == failure_of(output)
    assert "d-1" == output.remote_deployment_id


async def test_a_response_of_a_gigabyte_is_not_read(sender: Sender, package: str) -> None:
    """The sender closes after 64 KiB; only what sockets hold was sent besides."""
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

    assert (ErrorCode.TRANSFER_FAILED, 1) == failure_of(output)
    assert "with a body that is over 64 KiB" in str(output.error_message)
    assert passed < 16_000_000


# Row 19: breaks and stalls


async def test_a_transfer_that_breaks_is_retried(sender: Sender, large: str, tmp_path: Path) -> None:
    """After two resets in the middle, the third attempt succeeds; the package is verified and stored once."""
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
    """TRANSFER_FAILED after the configured attempts; once the network works, the node succeeds."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, *[Fault(cut_after_bytes=1_000_000)] * 3) as proxy,
        sender.node() as node,
    ):
        output = await sender.send(node, large, proxy.url)

        assert 3 == proxy.connections
        assert (await sender.send(node, large, proxy.url)).success
    assert (ErrorCode.TRANSFER_FAILED, 3) == failure_of(output)
    assert "broke: " in str(output.error_message)


async def test_breaking_ends_with_the_transfers_time(sender: Sender, large: str) -> None:
    """The number of attempts does not matter; the message has the last failure."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, *[Fault(cut_after_bytes=1_000_000)] * 1000) as proxy,
        sender.node(transfer_attempts=1000, transfer_timeout_seconds=1) as node,
    ):
        output = await sender.send(node, large, proxy.url)

    code, attempts = failure_of(output)
    assert ErrorCode.TRANSFER_FAILED is code
    assert 1 <= attempts < 100
    assert "did not have the package after 1 s" in str(output.error_message)


async def test_a_connection_that_stalls_fails(sender: Sender, large: str) -> None:
    """Each attempt ends at the idle time-out; a connection that works then gets the package."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, *[Fault(stall_after_bytes=1_000_000)] * 2) as proxy,
        sender.node(idle_timeout_seconds=0.5, transfer_attempts=2) as node,
    ):
        output = await sender.send(node, large, proxy.url)

        async with sender.node() as second:
            assert (await sender.send(second, large, proxy.url)).success
    assert (ErrorCode.TRANSFER_FAILED, 2) == failure_of(output)
    assert "it accepted no more bytes for too long" in str(output.error_message)


async def test_a_receiver_that_does_not_read_fails(sender: Sender, large: str) -> None:
    """Its window is at zero: the kernel has accepted the connection and some bytes, and no process reads them."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with sender.node(idle_timeout_seconds=0.5, transfer_attempts=2) as node:
            output = await sender.send(node, large, f"http://127.0.0.1:{listener.getsockname()[1]}")

    assert (ErrorCode.TRANSFER_FAILED, 2) == failure_of(output)
    assert "it accepted no more bytes for too long" in str(output.error_message)
    assert sender.sent_bytes < LARGE_BYTES


async def test_a_response_of_a_byte_a_second_ends_with_the_transfers_time(sender: Sender, package: str) -> None:
    """It is never idle, and never complete."""
    reply = replace(receipt(), byte_seconds=1)
    async with ScriptedReceiver(reply) as receiver, sender.node(transfer_timeout_seconds=2.5) as node:
        output = await sender.send(node, package, receiver.url)

    assert (ErrorCode.TRANSFER_FAILED, 1) == failure_of(output)
    assert "did not have the package after 2.5 s" in str(output.error_message)


# Row 20: the response is lost


async def test_a_lost_response_makes_no_second_deployment(
    sender: Sender, real_engine: RealEngine, tmp_path: Path
) -> None:
    """The receiver has stored the package; the retry gets the same deployment id, and the engine loads it once."""
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

"""The sockets under httpcore: TLS, several addresses, and what happens when nothing moves."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.address_policy import AddressPolicy
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.network import ListeningBackend, _connect_any
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import HttpTargets
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    OperationError,
    PackageTooLargeError,
    ReceiverUnreachableError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Receipt
from support.http.certificates import Authority
from support.receiver.scripted import Reply, ScriptedReceiver, receipt
from support.sending.content import content_of, http_targets

LARGE = 32_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that signs the receiver's certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def server_context(authority: Authority) -> ssl.SSLContext:
    """The receiver's side of TLS, for 127.0.0.1."""
    return await authority.issue().server_context()


@pytest.fixture
async def targets(authority: Authority) -> AsyncIterator[HttpTargets]:
    """Targets that trust the authority."""
    targets = await http_targets(ca_file=authority.ca_file)
    yield targets
    await targets.close()


@pytest.fixture
def large_package(tmp_path: Path) -> Path:
    """A package that no socket buffer can hold."""
    path = tmp_path / "large.tar.gz"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


async def send(targets: HttpTargets, path: Path, url: str) -> Receipt:
    """Send a package."""
    with content_of(path) as content:
        return await targets.open(url).deploy(content, lambda _: None)


async def failed(targets: HttpTargets, path: Path, url: str) -> OperationError:
    """Send a package to a receiver that does not accept it; return the error."""
    with pytest.raises(OperationError) as caught:
        await send(targets, path, url)
    return caught.value


async def test_a_package_goes_over_tls(
    targets: HttpTargets, large_package: Path, server_context: ssl.SSLContext
) -> None:
    """A receiver with a trusted certificate gets every byte."""
    async with ScriptedReceiver(receipt(), tls=server_context) as receiver:
        found = await send(targets, large_package, receiver.url)

    assert "d-1" == found.deployment_id
    assert bytes(LARGE) == receiver.heard[0].form()["package"]


@pytest.mark.parametrize("end", ["close", "reset", "stall"])
async def test_an_early_response_is_read_over_tls(
    targets: HttpTargets, large_package: Path, server_context: ssl.SSLContext, end: str
) -> None:
    """Session tickets arrive first and are not the response; the 413 is."""
    reply = Reply(413, read_bytes=1_000_000, end=end)  # type: ignore[arg-type]
    async with ScriptedReceiver(reply, tls=server_context) as receiver:
        for _ in range(5):
            error = await failed(targets, large_package, receiver.url)

            assert PackageTooLargeError is type(error)


async def refused(targets: HttpTargets, path: Path, context: ssl.SSLContext) -> OperationError:
    """Send a package to a receiver that must not get a byte of it; return the error."""
    async with ScriptedReceiver(receipt(), tls=context) as receiver:
        error = await failed(targets, path, receiver.url)

        assert [] == receiver.heard
    assert (ReceiverUnreachableError, False) == (type(error), error.retry)
    return error


async def test_an_untrusted_certificate_is_refused(large_package: Path, server_context: ssl.SSLContext) -> None:
    """Nothing is sent, and a retry would not help."""
    targets = await http_targets()
    error = await refused(targets, large_package, server_context)
    await targets.close()

    assert "its certificate is not trusted (unable to get local issuer certificate)" in error.message
    assert "DEPLOYMENT_SENDER_CA_FILE" in error.recovery


async def test_only_the_configured_authority_is_trusted(
    targets: HttpTargets, large_package: Path, tmp_path: Path
) -> None:
    """Certificates of another authority do not count."""
    error = await refused(targets, large_package, await Authority(tmp_path).issue().server_context())

    assert "its certificate is not trusted" in error.message


async def test_a_certificate_for_another_name_is_refused(
    targets: HttpTargets, large_package: Path, authority: Authority
) -> None:
    """The certificate is for a name, and not for 127.0.0.1."""
    error = await refused(targets, large_package, await authority.issue("edge.example", name="edge").server_context())

    assert "its certificate is not trusted (IP address mismatch" in error.message


async def test_an_expired_certificate_is_refused(
    targets: HttpTargets, large_package: Path, authority: Authority
) -> None:
    """The message differs from that of a wrong name."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    error = await refused(
        targets, large_package, await authority.issue(name="old", not_after=yesterday).server_context()
    )

    assert "its certificate is not trusted (certificate has expired)" in error.message


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_receiver_that_requires_a_certificate_differs_from_a_broken_one(
    targets: HttpTargets, large_package: Path, authority: Authority, version: ssl.TLSVersion
) -> None:
    """With TLS 1.3 the refusal arrives after the handshake, while the package is sent."""
    context = await authority.issue().server_context(authority.ca_file)
    context.maximum_version = version
    for _ in range(5):
        async with ScriptedReceiver(receipt(), tls=context) as receiver:
            error = await failed(targets, large_package, receiver.url)

            assert [] == receiver.heard
        assert (ReceiverUnreachableError, False) == (type(error), error.retry)
        assert "it does not accept this machine's certificate, or the lack of one" in error.message
        assert "DEPLOYMENT_SENDER_CLIENT_CERT" in error.recovery


async def test_a_receiver_is_shown_the_certificate_that_it_requires(large_package: Path, authority: Authority) -> None:
    """It accepts the package then."""
    context = await authority.issue().server_context(authority.ca_file)
    mine = authority.issue("sender", name="client")
    targets = await http_targets(ca_file=authority.ca_file, client_cert=mine.cert, client_key=mine.key)
    async with ScriptedReceiver(receipt(), tls=context) as receiver:
        assert "d-1" == (await send(targets, large_package, receiver.url)).deployment_id
    await targets.close()


async def test_https_to_a_plain_receiver_is_unreachable(targets: HttpTargets, large_package: Path) -> None:
    """The message says that TLS failed, and not the network."""

    async def no_tls(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    error = await failed(targets, large_package, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()

    assert (ReceiverUnreachableError, False) == (type(error), error.retry)
    assert "TLS failed" in error.message


async def test_a_handshake_that_does_not_end_is_unreachable(large_package: Path) -> None:
    """A server that accepts and sends nothing fails at the connect time-out."""
    targets = await http_targets(connect_timeout_seconds=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await failed(targets, large_package, f"https://127.0.0.1:{silent.getsockname()[1]}")
    await targets.close()

    assert (ReceiverUnreachableError, True) == (type(error), error.retry)
    assert "it did not respond in time" in error.message


async def test_the_next_address_of_a_name_is_tried() -> None:
    """No process may listen on the first address of a name."""
    with socket.socket() as silent, socket.create_server(("127.0.0.1", 0)) as listening:
        silent.bind(("127.0.0.1", 0))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname()) for listener in (silent, listening)
        ]
        stream = await _connect_any(found, 5)
        await stream.aclose()


async def test_a_name_may_have_no_address() -> None:
    """There is nothing to connect to."""
    with pytest.raises(OSError, match="no address"):
        await _connect_any([], 5)


async def connected() -> tuple[httpcore.AsyncNetworkStream, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return both ends of a connection."""
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()
    server = await asyncio.start_server(lambda r, w: accepted.set_result((r, w)), "127.0.0.1", 0)
    stream = await ListeningBackend(AddressPolicy()).connect_tcp(
        "127.0.0.1", server.sockets[0].getsockname()[1], timeout=5
    )
    reader, writer = await accepted
    server.close()
    return stream, reader, writer


async def test_an_early_response_is_read_piece_by_piece() -> None:
    """Bytes that arrived during a write are returned first, and no more of them than requested."""
    stream, _, writer = await connected()
    writer.write(b"HTTP/1.1 413 x")
    await writer.drain()
    with pytest.raises(httpcore.WriteError):
        await stream.write(bytes(LARGE), 5)

    assert b"HTTP" == await stream.read(4, 5)
    assert b"/1.1 413 x" == await stream.read(100, 5)
    writer.close()
    assert b"" == await stream.read(100, 5)
    await stream.aclose()
    await writer.wait_closed()


async def test_a_closed_stream_can_be_closed_again() -> None:
    """The second time nothing happens."""
    stream, _, writer = await connected()
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(httpcore.ReadError):
        await stream.read(1, 5)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_closing_leaves_the_next_owner_of_the_number_alone() -> None:
    """A descriptor's number is used again at once; the waiter of the closed one must not unregister it."""
    stream, _, writer = await connected()
    reading = asyncio.ensure_future(stream.read(1, 5))
    await asyncio.sleep(0)
    await stream.aclose()
    near, far = socket.socketpair()
    read = asyncio.Event()
    near.settimeout(0)
    asyncio.get_running_loop().add_reader(near, read.set)
    with pytest.raises(httpcore.ReadError):
        await reading
    far.send(b"x")
    async with asyncio.timeout(60):
        await read.wait()

    asyncio.get_running_loop().remove_reader(near)
    near.close()
    far.close()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

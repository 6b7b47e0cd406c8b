"""The sockets under httpx: TLS, several addresses, and what happens when nothing moves."""

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
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import HttpUploader
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from support.http.certificates import Authority
from support.receiver.scripted import Reply, ScriptedReceiver, receipt
from support.sending.uploads import an_upload, an_uploader

LARGE = 32_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the receiver's certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def server_context(authority: Authority) -> ssl.SSLContext:
    """The receiver's side of TLS, for 127.0.0.1."""
    return await authority.issue().server_context()


@pytest.fixture
async def uploader(authority: Authority) -> AsyncIterator[HttpUploader]:
    """An uploader that trusts the authority."""
    uploader = an_uploader(ca_file=authority.ca_file)
    yield uploader
    await uploader.close()


@pytest.fixture
def large_package(tmp_path: Path) -> Path:
    """A package that cannot be sent without somebody reading it."""
    path = tmp_path / "large.tar.gz"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


async def failed(uploader: HttpUploader, path: Path, url: str) -> DeploymentSenderError:
    """Send a package in vain; answer the error."""
    with an_upload(path, url) as upload, pytest.raises(DeploymentSenderError) as caught:
        await uploader.send(upload, lambda _: None)
    return caught.value


async def test_a_package_goes_over_tls(
    uploader: HttpUploader, large_package: Path, server_context: ssl.SSLContext
) -> None:
    """A receiver with a trusted certificate gets every byte."""
    async with ScriptedReceiver(receipt(), tls=server_context) as receiver:
        with an_upload(large_package, receiver.url) as upload:
            answered = await uploader.send(upload, lambda _: None)

    assert "d-1" == answered.deployment_id
    assert bytes(LARGE) == receiver.heard[0].form()["package"]


@pytest.mark.parametrize("end", ["close", "reset", "stall"])
async def test_an_early_answer_is_heard_over_tls(
    uploader: HttpUploader, large_package: Path, server_context: ssl.SSLContext, end: str
) -> None:
    """Session tickets come first and are no answer; the 413 is one."""
    reply = Reply(413, read_bytes=1_000_000, end=end)  # type: ignore[arg-type]
    async with ScriptedReceiver(reply, tls=server_context) as receiver:
        for _ in range(5):
            error = await failed(uploader, large_package, receiver.url)

            assert ErrorCode.PACKAGE_TOO_LARGE is error.code


async def refused(uploader: HttpUploader, path: Path, context: ssl.SSLContext) -> DeploymentSenderError:
    """Send a package to a receiver that must not get a byte of it; answer the error."""
    async with ScriptedReceiver(receipt(), tls=context) as receiver:
        error = await failed(uploader, path, receiver.url)

        assert [] == receiver.heard
    assert (ErrorCode.REMOTE_UNREACHABLE, False) == (error.code, error.retry)
    return error


async def test_a_certificate_that_nobody_trusts_is_refused(large_package: Path, server_context: ssl.SSLContext) -> None:
    """Nothing is sent, and trying again would not help."""
    uploader = an_uploader()
    error = await refused(uploader, large_package, server_context)
    await uploader.close()

    assert "its certificate is not trusted (unable to get local issuer certificate)" in error.message
    assert "DEPLOYMENT_SENDER_CA_FILE" in error.recovery


async def test_only_the_authority_that_was_named_is_trusted(
    uploader: HttpUploader, large_package: Path, tmp_path: Path
) -> None:
    """Somebody else's word does not count."""
    error = await refused(uploader, large_package, await Authority(tmp_path).issue().server_context())

    assert "its certificate is not trusted" in error.message


async def test_a_certificate_for_another_name_is_refused(
    uploader: HttpUploader, large_package: Path, authority: Authority
) -> None:
    """It is for a name, and not for 127.0.0.1."""
    error = await refused(uploader, large_package, await authority.issue("edge.example", name="edge").server_context())

    assert "its certificate is not trusted (IP address mismatch" in error.message


async def test_an_expired_certificate_is_refused(
    uploader: HttpUploader, large_package: Path, authority: Authority
) -> None:
    """And told apart from a wrong one."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    error = await refused(
        uploader, large_package, await authority.issue(name="old", not_after=yesterday).server_context()
    )

    assert "its certificate is not trusted (certificate has expired)" in error.message


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_receiver_that_wants_a_certificate_is_told_from_a_broken_one(
    uploader: HttpUploader, large_package: Path, authority: Authority, version: ssl.TLSVersion
) -> None:
    """TLS 1.3 refuses after the handshake, while the package is on its way."""
    context = await authority.issue().server_context(authority.ca_file)
    context.maximum_version = version
    for _ in range(5):
        async with ScriptedReceiver(receipt(), tls=context) as receiver:
            error = await failed(uploader, large_package, receiver.url)

            assert [] == receiver.heard
        assert (ErrorCode.REMOTE_UNREACHABLE, False) == (error.code, error.retry)
        assert "it does not accept this machine's certificate, or the lack of one" in error.message
        assert "DEPLOYMENT_SENDER_CLIENT_CERT" in error.recovery


async def test_a_receiver_is_shown_the_certificate_that_it_wants(large_package: Path, authority: Authority) -> None:
    """Then it takes the package."""
    context = await authority.issue().server_context(authority.ca_file)
    mine = authority.issue("sender", name="client")
    uploader = an_uploader(ca_file=authority.ca_file, client_cert=mine.cert, client_key=mine.key)
    async with ScriptedReceiver(receipt(), tls=context) as receiver:
        with an_upload(large_package, receiver.url) as upload:
            assert "d-1" == (await uploader.send(upload, lambda _: None)).deployment_id
    await uploader.close()


async def test_https_to_a_plain_receiver_is_unreachable(uploader: HttpUploader, large_package: Path) -> None:
    """The message tells TLS from the network."""

    async def no_tls(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    error = await failed(uploader, large_package, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()

    assert (ErrorCode.REMOTE_UNREACHABLE, False) == (error.code, error.retry)
    assert "TLS failed" in error.message


async def test_a_hand_that_is_not_shaken_is_unreachable(large_package: Path) -> None:
    """A server that accepts and says nothing ends at the connect time-out."""
    uploader = an_uploader(connect_timeout_seconds=0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = await failed(uploader, large_package, f"https://127.0.0.1:{silent.getsockname()[1]}")
    await uploader.close()

    assert (ErrorCode.REMOTE_UNREACHABLE, True) == (error.code, error.retry)
    assert "it did not answer in time" in error.message


async def test_the_next_address_of_a_name_is_tried() -> None:
    """A name may have an address that nobody listens on."""
    with socket.socket() as nobody, socket.create_server(("127.0.0.1", 0)) as somebody:
        nobody.bind(("127.0.0.1", 0))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", listener.getsockname()) for listener in (nobody, somebody)]
        stream = await _connect_any(found, 5)
        await stream.aclose()


async def test_a_name_may_have_no_address() -> None:
    """Then there is nobody to connect to."""
    with pytest.raises(OSError, match="no address"):
        await _connect_any([], 5)


async def connected() -> tuple[httpcore.AsyncNetworkStream, asyncio.StreamReader, asyncio.StreamWriter]:
    """Answer both ends of a connection."""
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()
    server = await asyncio.start_server(lambda r, w: accepted.set_result((r, w)), "127.0.0.1", 0)
    stream = await ListeningBackend(AddressPolicy()).connect_tcp(
        "127.0.0.1", server.sockets[0].getsockname()[1], timeout=5
    )
    reader, writer = await accepted
    server.close()
    return stream, reader, writer


async def test_an_early_answer_is_read_piece_by_piece() -> None:
    """What was heard while writing is given out first, and no more of it than is wanted."""
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
    """Whoever comes second finds nothing to do."""
    stream, _, writer = await connected()
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(httpcore.ReadError):
        await stream.read(1, 5)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_closing_leaves_the_next_owner_of_the_number_alone() -> None:
    """A descriptor's number is used again at once; what waited under it before must not take it away."""
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

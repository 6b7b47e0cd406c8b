"""The sockets under httpx: TLS, several addresses, and what happens when nothing moves."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpcore
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http_network import ListeningBackend, _connect_any
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http_uploader import HttpUploader
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from support.scripted_receiver import Reply, ScriptedReceiver, receipt
from support.uploads import an_upload

TLS = Path(__file__).parents[2] / "support" / "tls"
LARGE = 32_000_000


@pytest.fixture
async def server_context() -> ssl.SSLContext:
    """The receiver's side of TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    await asyncio.to_thread(context.load_cert_chain, TLS / "cert.pem", TLS / "key.pem")
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine's trust store hold the tests' certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "cert.pem"))


@pytest.fixture
async def uploader() -> AsyncIterator[HttpUploader]:
    """An impatient uploader."""
    uploader = HttpUploader(connect_timeout_seconds=2, idle_timeout_seconds=5)
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


@pytest.mark.usefixtures("trusted")
async def test_a_package_goes_over_tls(
    uploader: HttpUploader, large_package: Path, server_context: ssl.SSLContext
) -> None:
    """A receiver with a trusted certificate gets every byte."""
    async with ScriptedReceiver(receipt(), tls=server_context) as receiver:
        with an_upload(large_package, receiver.url) as upload:
            answered = await uploader.send(upload, lambda _: None)

    assert "d-1" == answered.deployment_id
    assert bytes(LARGE) == receiver.heard[0].form()["package"]


@pytest.mark.usefixtures("trusted")
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


async def test_a_certificate_that_nobody_trusts_is_refused(
    uploader: HttpUploader, large_package: Path, server_context: ssl.SSLContext
) -> None:
    """Nothing is sent, and trying again would not help."""
    async with ScriptedReceiver(receipt(), tls=server_context) as receiver:
        error = await failed(uploader, large_package, receiver.url)

        assert [] == receiver.heard
    assert (ErrorCode.REMOTE_UNREACHABLE, False) == (error.code, error.retry)
    assert "its certificate is not trusted" in error.message
    assert "SSL_CERT_FILE" in error.recovery


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_name_is_refused(
    uploader: HttpUploader, large_package: Path, server_context: ssl.SSLContext
) -> None:
    """The certificate is for 127.0.0.1 and not for localhost."""
    async with ScriptedReceiver(receipt(), tls=server_context) as receiver:
        error = await failed(uploader, large_package, receiver.url.replace("127.0.0.1", "localhost"))

    assert (ErrorCode.REMOTE_UNREACHABLE, False) == (error.code, error.retry)
    assert "its certificate is not trusted (Hostname mismatch" in error.message


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
    uploader = HttpUploader(connect_timeout_seconds=0.2, idle_timeout_seconds=5)
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
    stream = await ListeningBackend().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1], timeout=5)
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
    async with asyncio.timeout(5):
        await read.wait()

    asyncio.get_running_loop().remove_reader(near)
    near.close()
    far.close()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

"""Receivers over real TCP: what is sent, how responses are read, and what is never done."""

import asyncio
import contextlib
import os
import re
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.target import HttpTargets
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    OperationError,
    PackageTooLargeError,
    ReceiverUnreachableError,
    TransferError,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import (
    DeploymentState,
    Receipt,
    ReceiverInfo,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import (
    SignedRequest,
    parse_authorization,
    verify,
)
from support.eventually import eventually
from support.http.fault_proxy import Fault, FaultProxy
from support.receiver.scripted import Heard, Reply, ScriptedReceiver, receipt
from support.sending.content import CHECKSUM, PACKAGE_ID, content_of, http_targets

KEY = SecretStr("main:0123456789abcdef0123456789abcdef")
CONTENT = os.urandom(1_500_000)
FAR_MORE_THAN_SOCKETS_HOLD = 64_000_000


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of 1.5 MB."""
    path = tmp_path / "image.tar.gz"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def large_package(tmp_path: Path) -> Path:
    """A package that no socket buffer can hold."""
    path = tmp_path / "large.tar.gz"
    with path.open("wb") as file:
        file.truncate(FAR_MORE_THAN_SOCKETS_HOLD)
    return path


@pytest.fixture
async def targets() -> AsyncIterator[HttpTargets]:
    """Targets without a key."""
    targets = await http_targets()
    yield targets
    await targets.close()


async def send(targets: HttpTargets, path: Path, url: str) -> Receipt:
    """Send a package."""
    with content_of(path) as content:
        return await targets.open(url).deploy(content, lambda _: None)


async def failed(targets: HttpTargets, path: Path, *replies: Reply) -> OperationError:
    """Send a package to a receiver that does not accept it; return the error."""
    async with ScriptedReceiver(*replies) as receiver:
        with pytest.raises(OperationError) as caught:
            await send(targets, path, receiver.url)
        assert 1 == receiver.connections
    return caught.value


async def test_the_receiver_gets_the_fields_in_order_and_then_the_file(targets: HttpTargets, package: Path) -> None:
    """One multipart POST to /deploy has everything."""
    async with ScriptedReceiver(receipt()) as receiver:
        found = await send(targets, package, receiver.url)
    heard = receiver.heard[0]

    assert Receipt("d-1", checksum_verified=True) == found
    assert ("POST", "/deploy") == (heard.method, heard.target)
    assert {
        "package_id": PACKAGE_ID.encode(),
        "checksum": CHECKSUM.encode(),
        "container_name": b"hello",
        "image_tag": b"1.0",
        "verify_checksum": b"true",
        "correlation_id": b"deploy-001",
        "compression": b"gzip",
        "image_id": b"sha256:" + b"cd" * 32,
        "package": CONTENT,
    } == heard.form()
    assert "package" == list(heard.form())[-1]


async def test_the_length_is_announced(targets: HttpTargets, package: Path) -> None:
    """Servers that refuse chunked bodies can receive."""
    async with ScriptedReceiver(receipt()) as receiver:
        await send(targets, package, receiver.url)
    headers = receiver.heard[0].headers

    assert str(len(receiver.heard[0].body)) == headers["content-length"]
    assert "transfer-encoding" not in headers


async def test_progress_counts_the_bytes_of_the_file(targets: HttpTargets, package: Path) -> None:
    """The last figure is the file's size."""
    reported: list[int] = []
    async with ScriptedReceiver(receipt()) as receiver:
        with content_of(package) as content:
            await targets.open(receiver.url).deploy(content, reported.append)

    assert [0, 1 << 20, len(CONTENT)] == reported


@pytest.mark.parametrize(
    ("given", "target"), [("", "/deploy"), ("/", "/deploy"), ("/a/b", "/a/b/deploy"), ("/x/deploy", "/x/deploy")]
)
async def test_deploy_is_added_to_the_url(targets: HttpTargets, package: Path, given: str, target: str) -> None:
    """A receiver may live under a path."""
    async with ScriptedReceiver(receipt()) as receiver:
        await send(targets, package, receiver.url + given)

    assert target == receiver.heard[0].target


def at(status_url: str) -> Receipt:
    """Return a receipt with this URL of the status."""
    return Receipt("d-1", checksum_verified=True, status_url=status_url)


def signed_as(heard: Heard, request: SignedRequest) -> None:
    """Check the signature of a request as a receiver does."""
    secret = KEY.get_secret_value().partition(":")[2].encode()
    verify(parse_authorization(heard.headers["authorization"]), secret, request, now=int(time.time()))


async def test_uploads_are_signed_with_the_key(package: Path) -> None:
    """The receiver can check the signature from what it got."""
    targets = await http_targets(signing_key=KEY)
    async with ScriptedReceiver(receipt()) as receiver:
        await send(targets, package, receiver.url + "/edge")
    await targets.close()
    heard = receiver.heard[0]
    form = {name: value.decode() for name, value in heard.form().items() if name != "package"}

    signed_as(
        heard,
        SignedRequest.for_upload(heard.headers["host"], "/edge/deploy", UploadFields.read(form), len(CONTENT)),
    )


async def test_status_requests_are_signed_with_the_key() -> None:
    """A GET is signed, with its query."""
    targets = await http_targets(signing_key=KEY)
    async with ScriptedReceiver(Reply(body={"deployment_id": "d-1", "status": "loaded"})) as receiver:
        await targets.open(receiver.url).status(at(f"{receiver.url}/deployments/d-1?full=1"))
    await targets.close()
    heard = receiver.heard[0]

    signed_as(heard, SignedRequest.for_get(heard.headers["host"], "/deployments/d-1?full=1"))


async def test_without_a_key_nothing_is_signed(targets: HttpTargets, package: Path) -> None:
    """A receiver on loopback needs no key."""
    async with ScriptedReceiver(receipt()) as receiver:
        await send(targets, package, receiver.url)

    assert "authorization" not in receiver.heard[0].headers


async def test_every_attempt_has_a_nonce_of_its_own(package: Path) -> None:
    """A receiver refuses a signature that it has seen."""
    targets = await http_targets(signing_key=KEY)
    async with ScriptedReceiver(receipt()) as receiver:
        for _ in range(3):
            await send(targets, package, receiver.url)
    await targets.close()

    assert 3 == len({parse_authorization(heard.headers["authorization"]).nonce for heard in receiver.heard})


async def test_the_environment_changes_nothing(
    targets: HttpTargets, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies and passwords of the environment are not for packages."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with ScriptedReceiver(receipt()) as receiver:
        await send(targets, package, receiver.url)

    assert "authorization" not in receiver.heard[0].headers


async def test_no_cookie_is_kept(targets: HttpTargets, package: Path) -> None:
    """The cookie of one receiver is not sent to the next."""
    async with ScriptedReceiver(replace(receipt(), headers={"Set-Cookie": "a=b"})) as receiver:
        await send(targets, package, receiver.url)
        await send(targets, package, receiver.url)

    assert "cookie" not in receiver.heard[1].headers


async def test_the_receipt_has_all_that_the_receiver_reports(targets: HttpTargets, package: Path) -> None:
    """A relative status_url is resolved against the upload's URL."""
    reply = receipt(checksum=CHECKSUM, status="received", status_url="/deployments/d-1")
    async with ScriptedReceiver(reply) as receiver:
        found = await send(targets, package, receiver.url)

        assert (
            Receipt(
                deployment_id="d-1",
                checksum_verified=True,
                checksum=CHECKSUM,
                status="received",
                status_url=f"{receiver.url}/deployments/d-1",
            )
            == found
        )


async def test_a_relative_status_url_keeps_the_path_before_deploy(targets: HttpTargets, package: Path) -> None:
    """Our receiver does not know under which path a proxy has put it."""
    async with ScriptedReceiver(receipt(status_url="deployments/d-1")) as receiver:
        found = await send(targets, package, f"{receiver.url}/edge")

        assert f"{receiver.url}/edge/deployments/d-1" == found.status_url


@pytest.mark.parametrize("end", ["close", "reset", "stall"])
@pytest.mark.parametrize("read_bytes", [0, 3_000_000])
@pytest.mark.parametrize("size", [1_500_000, FAR_MORE_THAN_SOCKETS_HOLD])
async def test_a_response_before_the_whole_body_is_read(
    targets: HttpTargets, large_package: Path, end: str, read_bytes: int, size: int
) -> None:
    """The 413 counts, however the receiver closes after it, and however much it has read before."""
    os.truncate(large_package, size)
    reply = Reply(413, {"error_message": "at most 1 MB"}, read_bytes=read_bytes, end=end)  # type: ignore[arg-type]
    for _ in range(5):
        error = await failed(targets, large_package, reply)

        assert (PackageTooLargeError, False) == (type(error), error.retry)
        assert re.fullmatch("the receiver responded 413 .*: at most 1 MB", error.message)


async def test_a_receiver_that_has_the_package_may_respond_at_once(targets: HttpTargets, large_package: Path) -> None:
    """An early receipt is a receipt; the progress shows that not all was sent."""
    reported: list[int] = [0]
    async with ScriptedReceiver(replace(receipt(), read_bytes=1000)) as receiver:
        with content_of(large_package) as content:
            found = await targets.open(receiver.url).deploy(content, reported.append)

    assert "d-1" == found.deployment_id
    assert FAR_MORE_THAN_SOCKETS_HOLD > reported[-1]


async def test_an_informational_response_is_not_the_response(targets: HttpTargets, package: Path) -> None:
    """A 100 or 103 on the way does not stop the body."""
    reply = replace(receipt(), before=b"HTTP/1.1 103 Early Hints\r\n\r\n", delay_seconds=0.05)
    async with ScriptedReceiver(reply) as receiver:
        found = await send(targets, package, receiver.url)

    assert "d-1" == found.deployment_id
    assert CONTENT == receiver.heard[0].form()["package"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(targets: HttpTargets, package: Path, status: int) -> None:
    """Neither the package nor a signature is sent to the location."""
    async with ScriptedReceiver(receipt()) as elsewhere:
        error = await failed(targets, package, Reply(status, headers={"Location": elsewhere.url}))

        assert 0 == elsewhere.connections
        assert elsewhere.url in error.message
    assert (TransferError, False) == (type(error), error.retry)


@pytest.mark.parametrize(
    "more", [b" " * 200_000, b" " * 65_536 + b'{"deployment_id": "d-1", "checksum_verified": true}']
)
async def test_an_endless_response_is_read_to_64_kib_only(targets: HttpTargets, package: Path, more: bytes) -> None:
    """A receiver cannot fill the memory, and bytes after the limit do not count."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    error = await failed(targets, package, Reply(raw=head + more, end="stall"))

    assert "with a body that is over 64 KiB" in error.message


async def test_a_refused_connection_is_unreachable(targets: HttpTargets, package: Path) -> None:
    """No process listens: it may be started later."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ReceiverUnreachableError, match="Connection refused") as caught:
            await send(targets, package, url)

    assert caught.value.retry


@pytest.mark.parametrize("host", ["receiver.invalid", "a" * 64 + ".example", "a..example"])
async def test_a_name_that_does_not_exist_is_unreachable(targets: HttpTargets, package: Path, host: str) -> None:
    """RFC 6761 reserves .invalid; the others are not names."""
    with pytest.raises(ReceiverUnreachableError) as caught:
        await send(targets, package, f"http://{host}:8001")

    assert f"{host}:8001" in caught.value.message


async def test_a_receiver_that_does_not_accept_is_unreachable(package: Path) -> None:
    """A full backlog is a connection that is never made."""
    targets = await http_targets(connect_timeout_seconds=0.2)
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            caller = waiting.enter_context(socket.socket())
            caller.settimeout(0)
            caller.connect_ex(full.getsockname())
        with pytest.raises(ReceiverUnreachableError, match="did not respond in time") as caught:
            await send(targets, package, f"http://127.0.0.1:{full.getsockname()[1]}")
    await targets.close()

    assert caught.value.retry


@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b"", read_bytes=100_000),
        Reply(raw=b"", read_bytes=100_000, end="reset"),
        Reply(raw=b""),
        Reply(raw=b"", end="reset"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
        Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ],
)
async def test_a_broken_connection_is_worth_a_retry(targets: HttpTargets, large_package: Path, reply: Reply) -> None:
    """It may be reset, or end without a response or within one."""
    error = await failed(targets, large_package, reply)

    assert (TransferError, True) == (type(error), error.retry)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(raw=b"", read_bytes=0, end="stall"), "accepted no more bytes"),
        (Reply(raw=b"", end="stall"), "it sent nothing"),
    ],
)
async def test_a_silent_receiver_fails_at_the_idle_time_out(large_package: Path, reply: Reply, words: str) -> None:
    """It neither reads nor responds for too long."""
    targets = await http_targets(idle_timeout_seconds=0.3)
    error = await failed(targets, large_package, reply)
    await targets.close()

    assert words in error.message
    assert (TransferError, True) == (type(error), error.retry)


async def test_a_slow_receiver_is_not_idle(package: Path) -> None:
    """The idle time-out counts from the last byte that moved, not from the start of a chunk or the last write."""
    targets = await http_targets(idle_timeout_seconds=2)
    async with (
        ScriptedReceiver(replace(receipt(), byte_seconds=0.01)) as receiver,
        FaultProxy(receiver.url, Fault(bytes_per_second=1_500_000)) as proxy,
    ):
        started = time.monotonic()
        found = await send(targets, package, proxy.url)
    await targets.close()

    assert "d-1" == found.deployment_id
    assert 2 < time.monotonic() - started


async def test_a_cut_in_the_middle_is_worth_a_retry(targets: HttpTargets, large_package: Path) -> None:
    """The network may reset a connection without the receiver."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, Fault(cut_after_bytes=9_999_999)) as proxy,
    ):
        with pytest.raises(TransferError) as caught:
            await send(targets, large_package, proxy.url)

    assert caught.value.retry


async def test_a_cancelled_send_closes_its_connection(targets: HttpTargets, large_package: Path) -> None:
    """The cancellation passes, and the other side sees the end at once."""
    async with (
        ScriptedReceiver(receipt()) as receiver,
        FaultProxy(receiver.url, Fault(stall_after_bytes=1000)) as proxy,
    ):
        sending = asyncio.ensure_future(send(targets, large_package, proxy.url))
        await eventually(lambda: receiver.heard)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_many_cancelled_sends_do_not_block_the_next(targets: HttpTargets, package: Path) -> None:
    """No slot of a pool is lost."""
    async with ScriptedReceiver(Reply(raw=b"", end="stall")) as receiver:
        for _ in range(5):
            sending = [asyncio.ensure_future(send(targets, package, receiver.url)) for _ in range(10)]
            await asyncio.sleep(0.02)
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
    async with ScriptedReceiver(receipt()) as receiver:
        assert "d-1" == (await send(targets, package, receiver.url)).deployment_id


async def test_the_state_of_a_deployment(targets: HttpTargets) -> None:
    """The fields of our own receiver are read."""
    body: dict[str, object] = {
        "deployment_id": "d-1",
        "status": "failed",
        "will_run": True,
        "error_code": "BUILD_FAILED",
        "error_message": "no\nspace",
    }
    async with ScriptedReceiver(Reply(body=body)) as receiver:
        state = await targets.open(receiver.url).status(at(f"{receiver.url}/deployments/d-1"))

    assert (
        DeploymentState("d-1", "failed", will_run=True, error_code="BUILD_FAILED", error_message="no\nspace") == state
    )
    assert ("GET", "/deployments/d-1") == (receiver.heard[0].method, receiver.heard[0].target)


async def test_an_unknown_status_is_an_error(targets: HttpTargets) -> None:
    """The protocol does not have it, so its meaning is not known."""
    async with ScriptedReceiver(Reply(body={"deployment_id": "d-1", "status": "cooking"})) as receiver:
        with pytest.raises(TransferError, match="status cannot be used"):
            await targets.open(receiver.url).status(at(f"{receiver.url}/deployments/d-1"))


@pytest.mark.parametrize(
    "status_url",
    [
        "http://127.0.0.2:8001/d",
        "https://127.0.0.1:8001/d",
        "http://127.0.0.1:8002/d",
        "http://127.0.0.1/d",
        "http://me:secret@127.0.0.1:8001/d",
        "http://127.0.0.1:99999/d",
        "ftp://127.0.0.1:8001/d",
        "//elsewhere/d",
    ],
)
async def test_no_other_origin_is_asked_for_a_state(targets: HttpTargets, status_url: str) -> None:
    """A receiver cannot have signed requests sent to another machine."""
    with pytest.raises(TransferError, match="was not requested") as caught:
        await targets.open("http://127.0.0.1:8001").status(at(status_url))

    assert not caught.value.retry


async def test_the_default_port_is_the_same_origin(targets: HttpTargets) -> None:
    """RFC 6454: a URL without a port has that of its scheme."""
    with pytest.raises(ReceiverUnreachableError):
        await targets.open("http://receiver.invalid").status(at("http://receiver.invalid:80/deployments/d-1"))


@pytest.mark.parametrize(
    ("receiver_url", "status_url"),
    [
        ("http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:1/deployments/d-1"),
        ("http://receiver.invalid", "http://Receiver.INVALID.:80/deployments/d-1"),
        ("HTTP://receiver.invalid.:080", "http://receiver.invalid/deployments/d-1"),
    ],
)
async def test_one_host_has_many_spellings(targets: HttpTargets, receiver_url: str, status_url: str) -> None:
    """Case, the root's dot, a default port and the zeros of an address make no other origin (RFC 3986, RFC 5952)."""
    with pytest.raises(ReceiverUnreachableError):
        await targets.open(receiver_url).status(at(status_url))


@pytest.mark.parametrize(
    ("host", "sent"),
    [("LOCALHOST", "localhost"), ("localhost.", "localhost"), ("127.0.0.1", "127.0.0.1")],
)
async def test_the_host_is_sent_and_signed_in_its_one_spelling(host: str, sent: str) -> None:
    """Both sides agree for every spelling in the URL, even if the other side compares characters."""
    targets = await http_targets(signing_key=KEY)
    async with ScriptedReceiver(Reply()) as receiver:
        await targets.open(f"http://{host}:{receiver.port}").get("/deployments")
        heard = receiver.heard[0]
    await targets.close()
    key_id, _, secret = KEY.get_secret_value().partition(":")
    credentials = parse_authorization(heard.headers["authorization"])

    assert (f"{sent}:{receiver_port(heard)}", "main") == (heard.headers["host"], key_id)
    verify(
        credentials,
        secret.encode(),
        SignedRequest.for_get(heard.headers["host"], "/deployments"),
        now=credentials.time,
    )


def receiver_port(heard: Heard) -> str:
    """The port in the `Host` header."""
    return heard.headers["host"].rpartition(":")[2]


async def test_an_address_with_all_its_zeros_is_connected_to(targets: HttpTargets) -> None:
    """It is sent as RFC 5952 writes it."""
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await targets.open(f"http://[0:0:0:0:0:0:0:1]:{port}/deploy").info() is None
    server.close()
    await server.wait_closed()

    assert heads[0].startswith("GET /info HTTP/1.1\r\n")
    assert f"host: [::1]:{port}\r\n" in heads[0].lower()


@pytest.mark.parametrize("path", ["", "/", "/deploy", "/deploy/"])
async def test_a_receiver_is_asked_for_its_description(targets: HttpTargets, path: str) -> None:
    """The page is beside /deploy, with or without that in the URL."""
    async with ScriptedReceiver(Reply(body={"version": "1", "time": "now"})) as receiver:
        info = await targets.open(f"{receiver.url}/prefix{path}").info()

    assert ReceiverInfo("1", "now") == info
    assert "/prefix/info" == receiver.heard[0].target


async def test_closing_ends_what_is_under_way(targets: HttpTargets, package: Path) -> None:
    """A call that waits for a response fails at once."""
    async with ScriptedReceiver(Reply(raw=b"", end="stall")) as receiver:
        sending = asyncio.ensure_future(send(targets, package, receiver.url))
        await eventually(lambda: [one for one in receiver.heard if one.is_whole])
        await targets.close()
        with pytest.raises(TransferError, match="it was closed on this side"):
            await sending


async def test_closed_targets_stay_closed(targets: HttpTargets, package: Path) -> None:
    """Closing twice is safe, and a later call is a `TransferError`."""
    await targets.close()
    await targets.close()
    with pytest.raises(TransferError, match="closed") as caught:
        await send(targets, package, "http://127.0.0.1:1")

    assert not caught.value.retry


async def test_every_request_has_the_protocol_version(targets: HttpTargets, package: Path) -> None:
    """An upload and the requests after it speak version 2."""
    async with ScriptedReceiver(receipt(), Reply(body={"deployment_id": "d-1", "status": "loaded"})) as receiver:
        await send(targets, package, receiver.url)
        await targets.open(receiver.url).status(at(f"{receiver.url}/deployments/d-1"))

    assert ["2", "2"] == [heard.headers["deployment-protocol"] for heard in receiver.heard]


async def test_a_response_of_an_unknown_protocol_version_is_an_error(targets: HttpTargets, package: Path) -> None:
    """The message has both versions."""
    error = await failed(targets, package, replace(receipt(), headers={"Deployment-Protocol": "9"}))

    assert "the response speaks protocol version 9; this sender speaks 1 and 2" == error.message

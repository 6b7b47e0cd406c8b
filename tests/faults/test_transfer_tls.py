"""TLS between two processes: it works, and a certificate that is refused differs from a broken connection."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import DeploymentSenderError, ErrorCode
from support.http.certificates import Authority, Certificate
from support.process.ports import free_port
from support.receiver.process import ReceiverProcess
from support.sending.node import KEY, Sender

LARGE_BYTES = 24_000 * 1024  # far more than sockets hold
CURL_EMPTY_REPLY = 52  # curl(1)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
ENVIRON = {"DOCKER_HOST": "tcp://127.0.0.1:1", "DEPLOYMENT_RECEIVER_SIGNING_KEYS": KEY}


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """The sender."""
    return Sender(tmp_path / "packages")


@pytest.fixture
async def large(sender: Sender) -> str:
    """A package that no socket buffer can hold."""
    return await asyncio.to_thread(sender.keep_image, LARGE_BYTES)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that signs the certificates of both sides."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def sent_by(authority: Authority) -> Certificate:
    """The sender's certificate."""
    return authority.issue("sender.example", name="sender")


def receiving(folder: Path, mine: Certificate, *arguments: str) -> ReceiverProcess:
    """A receiver with a certificate."""
    tls = ("--tls-cert", str(mine.cert), "--tls-key", str(mine.key))
    return ReceiverProcess(folder / "receiver", *tls, *arguments, environ=ENVIRON)


async def test_a_package_goes_over_tls_with_certificates_on_both_sides(
    sender: Sender, large: str, tmp_path: Path, authority: Authority, sent_by: Certificate
) -> None:
    """It is followed to its end, and every request is signed."""
    files = {"ca_file": authority.ca_file, "client_cert": sent_by.cert, "client_key": sent_by.key}
    with receiving(tmp_path, authority.issue(), "--tls-client-ca", str(authority.ca_file)) as receiver:
        async with sender.node(signing_key=KEY, **files) as node:
            output = await sender.send(node, large, receiver.url)

        assert receiver.lines[0].startswith("listening on https://127.0.0.1:")
    assert (True, True, 1) == (output.success, output.checksum_verified, output.attempts)
    assert LARGE_BYTES == output.bytes_transferred


async def test_a_413_is_read_every_time_over_tls(
    sender: Sender, large: str, tmp_path: Path, authority: Authority
) -> None:
    """It arrives before the body is read, as without TLS."""
    with receiving(tmp_path, authority.issue(), "--max-package-size-gb", "0.01") as receiver:
        async with sender.node(signing_key=KEY, ca_file=authority.ca_file) as node:
            for _ in range(5):
                output = await sender.send(node, large, receiver.url)

                assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == (output.error_code, output.attempts)


NOT_TRUSTED = {
    "unknown": "unable to get local issuer certificate",
    "a stranger's": "",
    "expired": "certificate has expired",
    "another name's": "IP address mismatch",
}


@pytest.mark.parametrize("wrong", NOT_TRUSTED)
async def test_a_receiver_with_a_wrong_certificate(
    sender: Sender, large: str, tmp_path: Path, authority: Authority, wrong: str
) -> None:
    """REMOTE_UNREACHABLE, once, with a recovery; nothing is sent."""
    issuer = Authority(tmp_path / "stranger") if wrong == "a stranger's" else authority
    mine = issuer.issue(
        "edge.example" if wrong == "another name's" else "127.0.0.1",
        not_after=YESTERDAY if wrong == "expired" else None,
    )
    with receiving(tmp_path, mine) as receiver:
        async with sender.node(signing_key=KEY, ca_file=None if wrong == "unknown" else authority.ca_file) as node:
            output = await sender.send(node, large, receiver.url)

    assert (ErrorCode.REMOTE_UNREACHABLE, 1) == (output.error_code, output.attempts)
    assert f"its certificate is not trusted ({NOT_TRUSTED[wrong]}" in str(output.error_message)
    assert "DEPLOYMENT_SENDER_CA_FILE" in str(output.recovery)
    assert 0 == sender.sent_bytes


@pytest.mark.parametrize("wrong", ["none", "a stranger's", "expired"])
async def test_a_sender_with_a_wrong_certificate(
    sender: Sender, large: str, tmp_path: Path, authority: Authority, wrong: str
) -> None:
    """REMOTE_UNREACHABLE, once, with a recovery, although the refusal of TLS 1.3 arrives during the upload."""
    issuer = Authority(tmp_path / "stranger") if wrong == "a stranger's" else authority
    shown = issuer.issue("sender.example", name="sender", not_after=YESTERDAY if wrong == "expired" else None)
    files = {} if wrong == "none" else {"client_cert": shown.cert, "client_key": shown.key}
    with receiving(tmp_path, authority.issue(), "--tls-client-ca", str(authority.ca_file)) as receiver:
        async with sender.node(signing_key=KEY, ca_file=authority.ca_file, **files) as node:
            for _ in range(5):
                output = await sender.send(node, large, receiver.url)

                assert (ErrorCode.REMOTE_UNREACHABLE, 1) == (output.error_code, output.attempts)
                assert "it does not accept this machine's certificate, or the lack of one" in str(output.error_message)
                assert "DEPLOYMENT_SENDER_CLIENT_CERT" in str(output.recovery)
    assert [] == list((tmp_path / "receiver").rglob("package"))


@contextmanager
def openssl(authority: Authority) -> Iterator[str]:
    """Start the server of OpenSSL, which requires a certificate; yield its URL."""
    mine = authority.issue()
    port = free_port()
    files = ("-cert", mine.cert, "-key", mine.key, "-CAfile", authority.ca_file, "-verify_return_error")
    command = ("openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-Verify", "1", "-www", *files)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        while b"ACCEPT" not in server.stdout.readline():
            assert server.poll() is None
        yield f"https://127.0.0.1:{port}"
        server.kill()


async def test_a_foreign_receiver_that_requires_a_certificate(sender: Sender, large: str, authority: Authority) -> None:
    """The message is the same, by TLS's own alert."""
    with openssl(authority) as url:
        async with sender.node(ca_file=authority.ca_file) as node:
            output = await sender.send(node, large, url)

    assert (ErrorCode.REMOTE_UNREACHABLE, 1) == (output.error_code, output.attempts)
    assert "it does not accept this machine's certificate, or the lack of one" in str(output.error_message)


def test_a_foreign_sender_is_accepted_with_its_certificate_only(
    tmp_path: Path, authority: Authority, sent_by: Certificate
) -> None:
    """The sender is curl."""
    with receiving(tmp_path, authority.issue(), "--tls-client-ca", str(authority.ca_file)) as receiver:
        ask = ("curl", "-sS", "--cacert", authority.ca_file, f"{receiver.url}/healthz")
        shown = ("--cert", sent_by.cert, "--key", sent_by.key)
        let_in = subprocess.run((*ask, *shown), capture_output=True, check=True, text=True)
        sent_away = subprocess.run(ask, capture_output=True, check=False, text=True)

    assert '{"status":"ok"}' == let_in.stdout
    assert "alert" in sent_away.stderr


@pytest.mark.parametrize("setting", ["ca_file", "client_cert", "client_key"])
async def test_a_missing_file_is_the_callers_mistake(
    sender: Sender, large: str, sent_by: Certificate, setting: str
) -> None:
    """VALIDATION_ERROR names the setting, before anything is sent or counted; the next node succeeds."""
    files = {"client_cert": sent_by.cert, "client_key": sent_by.key} | {setting: Path("/no/such/file")}
    async with sender.node(**files) as node:
        with pytest.raises(DeploymentSenderError) as caught:
            await sender.send(node, large, "https://127.0.0.1:1")
        figures = await node.get_metrics()

    assert ErrorCode.VALIDATION_ERROR is caught.value.code
    assert f"the file that {setting} names cannot be read: No such file or directory" == caught.value.message
    assert 0 == figures["total_transfers"]


async def test_http_to_a_receiver_that_uses_tls(sender: Sender, tmp_path: Path, authority: Authority) -> None:
    """TRANSFER_FAILED with a recovery; a client that only reads is not kept waiting."""
    package = await asyncio.to_thread(sender.keep, os.urandom(1000))
    with receiving(tmp_path, authority.issue()) as receiver:
        plain = receiver.url.replace("https", "http")
        async with sender.node(transfer_attempts=1) as node:
            output = await sender.send(node, package, plain)
        asked = await asyncio.create_subprocess_exec("curl", "-sS", "--max-time", "5", plain, stderr=subprocess.DEVNULL)
        code = await asyncio.wait_for(asked.wait(), 60)

    assert ErrorCode.TRANSFER_FAILED is output.error_code
    assert "that its URL says https if it uses TLS" in str(output.recovery)
    assert CURL_EMPTY_REPLY == code

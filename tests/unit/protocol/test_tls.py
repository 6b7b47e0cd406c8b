"""Files for TLS, and the errors of those that cannot be used."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.tls import client_context, server_context
from support.http.certificates import Authority, Certificate


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of both sides."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def mine(authority: Authority) -> Certificate:
    """A valid certificate and its key."""
    return authority.issue()


@pytest.fixture(scope="module", params=["junk", "empty", "another's key", "encrypted key", "certificate"])
def bad_key(request: pytest.FixtureRequest, authority: Authority, mine: Certificate) -> Path:
    """A file that does not hold the certificate's key."""
    path = mine.key.with_suffix(".bad")
    key = serialization.load_pem_private_key(mine.key.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    path.write_bytes(
        {
            "junk": b"junk",
            "empty": b"",
            "another's key": authority.issue(name="other").key.read_bytes(),
            "encrypted key": encrypted,
            "certificate": mine.cert.read_bytes(),
        }[request.param]
    )
    return path


def refused(caught: pytest.ExceptionInfo[InvalidInputError]) -> str:
    """Return a refusal's message, which names no file."""
    assert "/" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("make", [client_context, server_context])
def test_tls_is_at_least_1_2(make: object, mine: Certificate) -> None:
    """RFC 8996: older versions are not to be used."""
    context = client_context() if make is client_context else server_context(mine.cert, mine.key)

    assert ssl.TLSVersion.TLSv1_2 is context.minimum_version


def test_a_sender_checks_names_and_certificates(authority: Authority) -> None:
    """Also with a given CA, which then is the only one."""
    context = client_context(authority.ca_file)

    assert (True, ssl.CERT_REQUIRED, 1) == (context.check_hostname, context.verify_mode, len(context.get_ca_certs()))


def test_certificate_and_key_may_be_one_file(mine: Certificate, tmp_path: Path, authority: Authority) -> None:
    """Many tools write them so."""
    both = tmp_path / "both.pem"
    both.write_bytes(mine.key.read_bytes() + mine.cert.read_bytes())

    assert ssl.CERT_REQUIRED is server_context(both, None, authority.ca_file).verify_mode
    client_context(None, both)


def test_a_key_that_cannot_be_used_is_reported(mine: Certificate, bad_key: Path) -> None:
    """On both sides, without asking for a password on the terminal."""
    with pytest.raises(InvalidInputError) as caught:
        server_context(mine.cert, bad_key)
    assert "tls_cert and tls_key hold no certificate and key in PEM form that belong together" in refused(caught)

    with pytest.raises(InvalidInputError) as caught:
        client_context(None, mine.cert, bad_key)
    assert "client_cert and client_key hold no certificate and key in PEM form" in refused(caught)


@pytest.mark.parametrize("content", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nzzzz\n-----END CERTIFICATE-----\n"])
def test_ca_files_that_cannot_be_read_are_reported(mine: Certificate, tmp_path: Path, content: bytes) -> None:
    """With an empty file every transfer would fail later."""
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        client_context(path)
    assert "ca_file holds no certificates in PEM form" in refused(caught)

    with pytest.raises(InvalidInputError) as caught:
        server_context(mine.cert, mine.key, path)
    assert "tls_client_ca holds no certificates in PEM form" in refused(caught)


@pytest.mark.parametrize("setting", ["tls_cert", "tls_key", "tls_client_ca"])
@pytest.mark.parametrize(("name", "why"), [("nothing", "No such file or directory"), (".", "Is a directory")])
def test_a_receivers_missing_file_is_named_by_its_setting(
    mine: Certificate, tmp_path: Path, setting: str, name: str, why: str
) -> None:
    """Never by its value, which may be the key itself."""
    files = {"tls_cert": mine.cert, "tls_key": mine.key} | {setting: tmp_path / name}
    with pytest.raises(InvalidInputError) as caught:
        server_context(**files)

    assert f"the file that {setting} names cannot be read: {why}" == refused(caught)


@pytest.mark.parametrize("setting", ["ca_file", "client_cert", "client_key"])
def test_a_senders_missing_file_is_named_by_its_setting(mine: Certificate, tmp_path: Path, setting: str) -> None:
    """Never by its value, which may be the key itself."""
    files = {"client_cert": mine.cert, "client_key": mine.key} | {setting: tmp_path / "nothing"}
    with pytest.raises(InvalidInputError) as caught:
        client_context(**files)

    assert f"the file that {setting} names cannot be read: No such file or directory" == refused(caught)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_refused_client_receives_the_reason(
    authority: Authority, mine: Certificate, version: ssl.TLSVersion
) -> None:
    """The alert arrives, also when the client sends nothing after it."""
    context = await mine.server_context(authority.ca_file)
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=context)
    outside = ssl.create_default_context(cafile=authority.ca_file)
    outside.maximum_version = version

    async def ask() -> None:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=outside)
        try:
            await reader.read()
        finally:
            writer.close()

    with pytest.raises(ssl.SSLError, match="ALERT"):
        await ask()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n"])
async def test_a_connection_without_tls_is_closed(mine: Certificate, sent: bytes) -> None:
    """At once, or when it sends more after the alert."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=await mine.server_context())
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(sent)
    await asyncio.sleep(0.05)
    writer.write(sent)
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    server.close()
    await server.wait_closed()

"""docker-py's client: its address, the responses that it refuses, and that no connection stays open."""

import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

import pytest
import trustme
from docker.errors import APIError, DockerException

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.call import AbortedError, Call
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.connection import (
    connected_client,
    required_field,
)
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.endpoint import Endpoint
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.errors import engine_errors
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import (
    EngineRefusedError,
    EngineUnavailableError,
    OperationError,
)
from support.engine.fake_daemon import Exchange, FakeDaemon


@pytest.fixture
def call() -> Iterator[Call]:
    """A call that is closed afterwards."""
    call = Call()
    yield call
    call.close()


@pytest.fixture(params=["unix", "tcp"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeDaemon]:
    """An engine on either kind of socket."""
    with FakeDaemon(tmp_path / "engine.sock" if request.param == "unix" else None) as daemon:
        yield daemon


def _endpoint(
    docker_host: str | None, seconds: float = 5, certificates: Path | None = None, config: Path | None = None
) -> Endpoint:
    return Endpoint(docker_host, certificates is not None, certificates, seconds, config or Path("/nonexistent"))


def _error(endpoint: Endpoint, call: Call | None = None) -> OperationError:
    call = call or Call()
    with closing(call), pytest.raises(OperationError) as caught, connected_client(endpoint, call):
        pass
    assert isinstance(caught.value, EngineUnavailableError)
    return caught.value


def test_the_api_version_is_the_engines(call: Call, daemon: FakeDaemon) -> None:
    """It is in the response to `GET /_ping`."""
    with connected_client(_endpoint(daemon.docker_host), call) as client:
        assert "1.41" == client.api_version


def test_the_environment_is_ignored(call: Call, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for the web is not used for the engine."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    daemon.on("GET", "/info", lambda exchange: exchange.respond({"Name": "here"}))
    with connected_client(_endpoint(daemon.docker_host), call) as client:
        assert {"Name": "here"} == client.info()


def test_the_kind_of_engine_is_named(call: Call, daemon: FakeDaemon) -> None:
    """Podman sends a header in each response; every later message names it."""
    daemon.on("GET", "/_ping", lambda it: it.respond(b"OK", Api_Version="1.41", Libpod_Api_Version="4.3.1"))
    endpoint = _endpoint(daemon.docker_host)
    before = endpoint.engine
    with connected_client(endpoint, call) as client:
        names = [before, client.engine]

    assert [f"Docker Engine at {daemon.docker_host}", f"Podman Engine at {daemon.docker_host}"] == names


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message has the system's error, the recovery is that of the table."""
    error = _error(_endpoint(f"unix://{tmp_path}/nothing.sock"))

    assert f"The Docker Engine at unix://{tmp_path}/nothing.sock is not available: No such file or directory" == (
        error.message
    )


def test_a_closed_port_is_reported() -> None:
    """The message has the system's error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert "Connection refused" in _error(_endpoint(f"tcp://127.0.0.1:{port}")).message


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_socket_without_permission_is_reported_with_advice(tmp_path: Path) -> None:
    """This is the most common mistake."""
    tmp_path.chmod(0o700)
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        os.seteuid(65534)
        try:
            error = _error(_endpoint(f"unix://{path}"))
        finally:
            os.seteuid(0)

    assert "group docker" in error.recovery


@pytest.mark.parametrize("where", ["unix", "tcp", "tls"])
def test_a_silent_engine_has_a_deadline(where: str, tmp_path: Path) -> None:
    """Also in the middle of the TLS handshake."""
    path = tmp_path / "engine.sock"
    listener = socket.socket(socket.AF_UNIX) if where == "unix" else socket.create_server(("127.0.0.1", 0))
    with listener:
        if where == "unix":
            listener.bind(str(path))
            listener.listen()
        host = f"unix://{path}" if where == "unix" else f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        error = _error(_endpoint(host, 0.2, _certificates(tmp_path) if where == "tls" else None))

    assert "it was silent for too long" in error.message


@pytest.mark.parametrize("tls", [False, True])
def test_an_abort_ends_the_silence(tls: bool, tmp_path: Path) -> None:
    """Long before its deadline."""
    call = Call()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = _endpoint(
            f"tcp://127.0.0.1:{listener.getsockname()[1]}", 60, _certificates(tmp_path) if tls else None
        )

        def abort_once_asked() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1)
                call.abort()

        aborting = threading.Thread(target=abort_once_asked)
        aborting.start()
        _error(endpoint, call)
        aborting.join()


def test_after_an_abort_no_connection_is_made(daemon: FakeDaemon) -> None:
    """It would never be closed."""
    call = Call()
    call.abort()
    with pytest.raises(AbortedError), connected_client(_endpoint(daemon.docker_host), call):
        pass


def test_another_http_server_is_not_an_engine(call: Call, daemon: FakeDaemon) -> None:
    """A web server, for one."""
    daemon.on("GET", "/_ping", lambda exchange: exchange.respond(b"hello", Api_Version="soon"))

    assert "not that of a Docker Engine" in _error(_endpoint(daemon.docker_host), call).message


def test_another_protocol_is_not_an_engine(call: Call, daemon: FakeDaemon) -> None:
    """An ssh server, for one."""

    def greet(exchange: Exchange) -> None:
        exchange.send(b"SSH-2.0-OpenSSH\r\n")
        exchange.cut()

    daemon.on("GET", "/_ping", greet)

    assert "is not available" in _error(_endpoint(daemon.docker_host), call).message


@pytest.mark.parametrize(
    ("docker_host", "expected"),
    [
        ("tcp://127.0.0.1:no", "cannot be read"),
        ("tcp://a..b:2375", "not a host name"),
        ("tcp://someone:s3cret@127.0.0.1:2375", "it holds a user or a password, which are not used"),
        ("fd://x", "it begins with fd://"),
        ("npipe:////./pipe/docker", "it begins with npipe://"),
        ("ssh://-V", "'-V' is not a host name"),
        ("ssh://someone:s3cret@elsewhere", "log in with a key"),
    ],
)
def test_a_wrong_address_is_reported_with_its_reason(docker_host: str, expected: str) -> None:
    """It is an EngineUnavailableError; a password is not repeated."""
    message = _error(_endpoint(docker_host)).message

    assert (True, False) == (expected in message, "s3cret" in message)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_error_is_refused_before_it_is_read_as_a_stream(call: Call, daemon: FakeDaemon, chunked: bool) -> None:
    """Engines send long errors in chunks."""
    message = {"message": "no " * 2000}

    def refuse(exchange: Exchange) -> None:
        if chunked:
            exchange.stream(message, status=400)
        else:
            exchange.respond(message, 400)

    daemon.on("POST", "/images/load", refuse)
    with connected_client(_endpoint(daemon.docker_host), call) as client, pytest.raises(APIError) as caught:
        list(client.load_image(b"", quiet=True))  # type: ignore[no-untyped-call]

    assert message["message"] == caught.value.explanation


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"text"', b'{"message": 5}', b"<html>", b""])
def test_an_odd_error_response_is_still_an_error(call: Call, daemon: FakeDaemon, body: bytes) -> None:
    """docker-py itself fails on some."""
    daemon.on("GET", "/info", lambda exchange: exchange.respond(body, 404))
    with connected_client(_endpoint(daemon.docker_host), call) as client, pytest.raises(DockerException):
        client.info()


def test_no_log_holds_build_arguments(call: Call, daemon: FakeDaemon, caplog: pytest.LogCaptureFixture) -> None:
    """They are in the URL of a build, and libraries for HTTP like to log URLs at DEBUG."""
    daemon.on("GET", "/info", lambda exchange: exchange.respond({}))
    with caplog.at_level(logging.DEBUG), connected_client(_endpoint(daemon.docker_host), call) as client:
        client.get(f"{client.base_url}/info?t=x&buildargs=%7B%22A%22%3A+%22secret%22%7D&q=1")

    assert "secret" not in caplog.text


def test_the_proxies_of_the_docker_command_are_build_arguments(call: Call, daemon: FakeDaemon, tmp_path: Path) -> None:
    """As for `docker build`."""
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://user:word@proxy"}}}')
    with connected_client(_endpoint(daemon.docker_host, config=tmp_path), call) as client:
        assert dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://user:word@proxy") == client.proxy_args()


def _certificates(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1, with which both sides show who they are."""
    if not (folder / "ca.pem").exists():
        authority = trustme.CA()
        ours = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        ours.private_key_pem.write_to_path(str(folder / "key.pem"))
        for certificate in ours.cert_chain_pems:
            certificate.write_to_path(str(folder / "cert.pem"), append=True)
    return folder


@pytest.fixture
def tls_daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """An engine that speaks TLS and asks for a certificate."""
    folder = _certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with FakeDaemon(tls=context) as daemon:
        yield daemon


def test_tls_presents_and_checks_certificates(call: Call, tls_daemon: FakeDaemon, tmp_path: Path) -> None:
    """Both sides."""
    with connected_client(_endpoint(tls_daemon.docker_host, certificates=tmp_path), call) as client:
        assert "1.41" == client.api_version


def test_an_abort_reaches_through_tls(call: Call, tls_daemon: FakeDaemon, tmp_path: Path) -> None:
    """It happens in the middle of a response."""

    def abort(exchange: Exchange) -> None:
        call.abort()
        exchange.wait_until_gone()

    tls_daemon.on("GET", "/info", abort)
    with (
        connected_client(_endpoint(tls_daemon.docker_host, certificates=tmp_path), call) as client,
        pytest.raises((OSError, HTTPException)),
    ):
        client.info()

    assert tls_daemon.exchanges[-1].gone.wait(60)


def test_a_certificate_of_another_is_refused(call: Call, tls_daemon: FakeDaemon, tmp_path: Path) -> None:
    """The certificate is of another authority."""
    other = tmp_path / "other"
    other.mkdir()

    assert (
        "CERTIFICATE_VERIFY_FAILED"
        in _error(_endpoint(tls_daemon.docker_host, certificates=_certificates(other)), call).message
    )


def test_missing_certificates_are_named(call: Call, tmp_path: Path) -> None:
    """Before anything is connected."""
    error = _error(_endpoint("tcp://127.0.0.1:2376", certificates=tmp_path), call)

    assert "certificate" in error.message


@pytest.mark.parametrize("record", [{}, {"b": {}}, "a", [], None])
def test_a_missing_field_is_named(record: object) -> None:
    """The response may be of any type."""
    with pytest.raises(DockerException, match="has no a"):
        required_field(record, "a")


@pytest.mark.parametrize(("status", "kind"), [(500, EngineRefusedError), (503, EngineUnavailableError)])
def test_an_error_of_a_proxy_is_not_the_engines(
    call: Call, daemon: FakeDaemon, status: int, kind: type[OperationError]
) -> None:
    """502, 503 and 504 come from a proxy before it."""
    daemon.on("GET", "/info", lambda exchange: exchange.respond(b"", status))
    with (
        connected_client(_endpoint(daemon.docker_host), call) as client,
        pytest.raises(OperationError) as caught,
        engine_errors("there", "It failed"),
    ):
        client.info()

    assert (kind, f"It failed: the engine responded with status {status}") == (type(caught.value), caught.value.message)


def test_a_mistake_of_ours_is_not_mapped() -> None:
    """Only errors of the engine and the connection are."""
    with pytest.raises(KeyError):
        _raise_translated(KeyError("ours"))


def _raise_translated(exc: Exception) -> None:
    with engine_errors("there", "It failed"):
        raise exc

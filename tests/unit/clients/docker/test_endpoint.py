"""The address of an engine, as the docker command reads it."""

from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.docker.endpoint import (
    Endpoint,
    SshAddress,
    TcpAddress,
    UnixAddress,
)


def _endpoint(docker_host: str | None, *, tls: bool = False, certificates: Path | None = None) -> Endpoint:
    return Endpoint(docker_host, tls, certificates, 1, Path("/config"))


@pytest.mark.parametrize(
    ("docker_host", "expected"),
    [
        (None, UnixAddress("/var/run/docker.sock")),
        ("unix://", UnixAddress("/var/run/docker.sock")),
        ("unix:///run/my.sock", UnixAddress("/run/my.sock")),
        ("tcp://there:2376", TcpAddress("there", 2376, tls=False, prefix="")),
        ("tcp://there", TcpAddress("there", 2375, tls=False, prefix="")),
        ("tcp://", TcpAddress("localhost", 2375, tls=False, prefix="")),
        ("there:1234", TcpAddress("there", 1234, tls=False, prefix="")),
        ("http://there:80/docker/", TcpAddress("there", 80, tls=False, prefix="/docker")),
        ("https://there", TcpAddress("there", 2376, tls=True, prefix="")),
        ("tcp://[::1]:5", TcpAddress("::1", 5, tls=False, prefix="")),
        ("ssh://edge", SshAddress("edge")),
        ("ssh://Edge_1.example", SshAddress("Edge_1.example")),
        ("ssh://me@edge:22", SshAddress("edge", "me", 22)),
        ("ssh://me%40work@edge/run/my.sock", SshAddress("edge", "me@work", None, "/run/my.sock")),
        ("ssh://edge/", SshAddress("edge")),
        ("ssh://me@[fe80::1%eth0]:22", SshAddress("fe80::1%eth0", "me", 22)),
    ],
)
def test_an_address_has_parts(docker_host: str | None, expected: object) -> None:
    """Ports are docker's own where none is given; ssh's configuration may have one."""
    assert expected == _endpoint(docker_host).address


@pytest.mark.parametrize(
    "docker_host",
    [
        "fd://",
        "ftp://there",
        "tcp://there:no",
        "tcp://there:70000",
        "ssh://",
        "ssh:///run/docker.sock",
        "ssh://-V",
        "ssh://-V@edge",
        "ssh://edge;id",
        "ssh://$HOME",
        "ssh://a b",
        "ssh://me you@edge",
        "ssh://%2DV@edge",
        "ssh://`id`@edge",
        "ssh://me:word@edge",
        "ssh://edge?x",
        "ssh://edge#x",
        "ssh://edge:no",
        "ssh://[edge",
    ],
)
def test_a_wrong_address_is_refused(docker_host: str) -> None:
    """Nothing that ssh or a shell could interpret reaches them."""
    with pytest.raises(ValueError, match=r"\w"):
        _ = _endpoint(docker_host).address


def test_tls_has_its_own_port_and_certificates() -> None:
    """The folder is the docker command's own if none is set."""
    default, given = _endpoint("tcp://x", tls=True), _endpoint("tcp://x", tls=True, certificates=Path("/given"))

    assert TcpAddress("x", 2376, tls=True, prefix="") == default.address
    assert (Path("/config"), Path("/given"), None) == (
        default.certificates,
        given.certificates,
        _endpoint("x").certificates,
    )


def test_the_docker_commands_folder_is_in_the_home() -> None:
    """It is used if no other is set."""
    assert (
        Path("~/.docker").expanduser()
        == Endpoint(None, tls_verify=False, cert_path=None, connect_timeout_seconds=1).config_folder
    )


@pytest.mark.parametrize(
    ("docker_host", "expected"),
    [
        (None, "Docker Engine at unix:///var/run/docker.sock"),
        ("ssh://me@edge", "Docker Engine at ssh://me@edge"),
        ("ssh://me:word@edge", "Docker Engine at ssh://me:***@edge"),
        ("tcp://:w@o:rd@there:1", "Docker Engine at tcp://:***@there:1"),
    ],
)
def test_a_message_names_it_without_a_password(docker_host: str | None, expected: str) -> None:
    """Also where the password is of no use."""
    assert expected == _endpoint(docker_host).engine


@pytest.mark.parametrize(("host", "expected"), [("tcp://x:1", "x:1"), ("tcp://[::1]:1", "[::1]:1")])
def test_a_host_is_written_as_in_a_url(host: str, expected: str) -> None:
    """An address of IPv6 has brackets."""
    address = _endpoint(host).address

    assert isinstance(address, TcpAddress)
    assert expected == address.netloc

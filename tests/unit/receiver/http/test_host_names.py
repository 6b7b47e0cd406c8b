"""The receiver's host names."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.hosts import parse_host
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.host_names import HostNames


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        (["edge"], "edge:8001", True),
        (["EDGE."], "edge", True),
        (["edge:8001"], "edge:8001", True),
        (["edge:8001"], "edge", False),
        (["edge:80"], "edge", True),
        (["edge:80"], "edge:81", False),
        (["[0:0::1]"], "[::1]:9", True),
        (["edge"], "other", False),
        ([], "edge", False),
    ],
)
def test_a_name_without_a_port_is_accepted_with_every_port(names: list[str], host: str, *, expected: bool) -> None:
    """And one with the default port for a host without a port."""
    found = HostNames(names)
    assert expected == found.is_own(found.parse(host))


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("http://edge", ""),
        ("http://edge/", ""),
        ("http://edge/deploy", ""),
        ("http://edge/in", "/in"),
        ("http://edge/in/", "/in"),
        ("http://edge/in/deploy", "/in"),
        ("http://edge/a%20b/c", "/a%20b/c"),
    ],
)
def test_the_public_path_is_what_comes_before_deploy(url: str, prefix: str) -> None:
    """The sender adds `/deploy` unless it is there."""
    assert prefix == HostNames(public_url=url).prefix


def test_the_public_host_is_accepted() -> None:
    """By the scheme of the public URL, which need not be the receiver's."""
    names = HostNames(public_url="https://Edge.example:443")
    assert (True, False) == (names.is_own(parse_host("edge.example")), names.is_own(parse_host("edge.example:443")))


def test_without_host_names_every_one_is_accepted() -> None:
    """A receiver cannot know by which names it is reached."""
    assert [True, False, False] == [
        names.accepts_all for names in (HostNames(), HostNames(["edge"]), HostNames(public_url="http://edge"))
    ]


def test_a_request_was_signed_for_where_it_arrived_or_for_the_public_url() -> None:
    """The public URL comes first; the place of arrival counts only under a configured host name."""
    host = parse_host("127.0.0.1:8001")
    behind, known = HostNames((), "https://edge/in"), HostNames(["127.0.0.1"], "https://edge/in")
    assert [("127.0.0.1:8001", "/deploy")] == HostNames().locations(host, "/deploy")
    assert [("", "/deploy")] == HostNames().locations(None, "/deploy")
    assert [("edge", "/in/deploy")] == behind.locations(host, "/deploy")
    assert [("edge", "/in/deploy"), ("127.0.0.1:8001", "/deploy")] == known.locations(host, "/deploy")

"""Hosts: one spelling for each."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.hosts import Host, normal_host, parse_host


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("edge.example", "edge.example"),
        ("EDGE.Example", "edge.example"),
        ("edge.example.", "edge.example"),
        ("Edge.Example.:8001", "edge.example:8001"),
        ("edge.example:", "edge.example"),
        ("edge.example:08001", "edge.example:8001"),
        ("edge.example:80", "edge.example"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[0000:0000:0000:0000:0000:0000:0000:0001]:8001", "[::1]:8001"),
        ("[2001:DB8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]"),
        ("[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"),
        ("[::FFFF:c000:201]:1", "[::ffff:192.0.2.1]:1"),
        ("[64:ff9b::192.0.2.1]", "[64:ff9b::c000:201]"),
    ],
)
def test_spellings_of_one_host_are_one(spelling: str, expected: str) -> None:
    """Case, the root's dot, an empty or a default port, zeros, and addresses as RFC 5952 writes them."""
    assert expected == normal_host(spelling, "http")
    assert expected == normal_host(expected, "http")


@pytest.mark.parametrize(
    ("scheme", "expected"), [("http", "a:443"), ("https", "a"), (None, "a:443")], ids=["http", "https", "unknown"]
)
def test_only_the_schemes_own_default_port_is_left_out(scheme: str | None, expected: str) -> None:
    """Another port is another server."""
    assert expected == normal_host("a:443", scheme)


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", ":80", "a b", "a/b", "a@b", "[::1", "::1", "[::1]x", "[1.2.3.4]", "[::g]", "[fe80::1%eth0]"),
        *("a:65536", "a:-1", "a:9999999999", "a:\u0661", "b\u00fccher.example", "a\n"),
    ],
)
def test_a_text_that_is_not_a_host_is_refused(text: str) -> None:
    """And is signed as it is."""
    with pytest.raises(ValueError, match=r"."):
        parse_host(text)
    assert text.lower() == normal_host(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", True),
        ("LocalHost.:8001", True),
        ("a.b.localhost", True),
        ("127.0.0.1:8001", True),
        ("127.255.0.3", True),
        ("[::1]:8001", True),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("127.0.0.1.example", False),
        ("127.1", False),
        ("192.168.1.5", False),
        ("0.0.0.0", False),
        ("[::]", False),
        ("[fe80::1]", False),
    ],
)
def test_loopback_is_recognised_by_the_name(text: str, *, expected: bool) -> None:
    """No name server is asked, as its response could be anything."""
    assert expected == parse_host(text).is_loopback


def test_a_parsed_host_is_written_in_the_same_way() -> None:
    """With its port, if there is one."""
    assert ("a", "[::1]:1") == (str(Host("a")), str(Host("[::1]", 1)))

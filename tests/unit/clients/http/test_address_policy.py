"""Which receivers are allowed: every spelling of an address, and every way to be on the list."""

import socket
from collections.abc import Sequence

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.clients.http.address_policy import AddressPolicy, Found
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError, ReceiverUnreachableError

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%1",
    "febf::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "255.255.255.255",
    "::",
    "224.0.0.1",
    "239.255.255.255",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::ffff:100.100.100.200",
    "::ffff:0.0.0.0",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
    "::100.100.100.200",
    "::ffff:0:169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:abcd::168.63.129.16",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:a9:fe:a9fe::",
    "64:ff9b:1:7:a9:fea9:fe00:0",
    "64:ff9b:1::",
    "2001:0:a9fe:a9fe::1",
    "2001:0:c000:201:0:0:5601:5601",
    "2001:db8::5efe:169.254.169.254",
    "2001:db8::200:5efe:169.254.169.254",
]


def found(*addresses: str) -> list[Found]:
    """Return addresses as `getaddrinfo` does."""
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, 80, 0, 0))
        if ":" in address
        else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in addresses
    ]


def refused(url: str, *allowed: str) -> str:
    """Check that a URL is refused before any name is resolved; return the message."""
    with pytest.raises(InvalidInputError) as caught:
        AddressPolicy(allowed).check_url(url)
    assert not caught.value.retry
    assert "allowed_receivers" in caught.value.recovery
    return caught.value.message


def connectable(host: str, addresses: Sequence[str], *allowed: str) -> list[str]:
    """Return the addresses of a name that may be connected to."""
    return [one[4][0] for one in AddressPolicy(allowed).allowed_addresses(host, found(*addresses))]


def unreachable(host: str, addresses: Sequence[str], *allowed: str) -> str:
    """Check that none of them may be connected to; return the message."""
    with pytest.raises(ReceiverUnreachableError) as caught:
        connectable(host, addresses, *allowed)
    assert not caught.value.retry
    return caught.value.message


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("allowed", [(), ("0.0.0.0/0", "::/0"), ("edge.example",)])
def test_a_name_cannot_lead_there(address: str, allowed: tuple[str, ...]) -> None:
    """The list changes nothing about that."""
    message = unreachable("edge.example", [address], *allowed)

    assert message.startswith(f"nothing was sent: edge.example ({address}) is ")
    assert message.endswith("; packages are never sent there")


@pytest.mark.parametrize(
    "host",
    [
        *(f"[{address}]" if ":" in address else address for address in NEVER if "%" not in address),
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.16689662",
        "0",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
    ],
)
def test_no_spelling_hides_an_address(host: str) -> None:
    """It may be written as a number, in hexadecimal, in octal, or inside another address."""
    assert "packages are never sent there" in refused(f"http://{host}:8001/x")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "10.1.2.3",
        "[fd12::1]",
        "192.168.1.1",
        "8.8.8.8",
        "[::10.1.2.3]",
        "[64:ff9b::10.1.2.3]",
        "[64:ff9b:1::10.1.2.3]",
        "[64:ff9b:1:a01:2:300::]",
        "[64:ff9b:1:a:1:203::]",
        "[64:ff9b:1:0:a:102:300:0]",
        "[2002:a01:203::1]",
        "[2001:0:808:808::f5fe:fdfc]",
        "[2001:db8::5efe:10.1.2.3]",
        "edge",
        "a" * 70,
    ],
)
def test_every_other_address_is_allowed_without_a_list(host: str) -> None:
    """Private networks are where receivers live, and an IPv6 address may lead to one of theirs."""
    AddressPolicy().check_url(f"http://{host}:8001")


def test_a_name_may_have_no_address() -> None:
    """The connection reports that."""
    assert [] == connectable("edge.example", [], "10.0.0.0/8")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://edge.example", "edge.example"),
        ("http://EDGE.example.:8001", "edge.example"),
        ("http://a.edge.example", "*.example"),
        ("http://10.1.2.3", "10.0.0.0/8"),
        ("http://167838211", "10.0.0.0/8"),
        ("http://[::ffff:10.1.2.3]", "10.0.0.0/8"),
        ("http://10.1.2.3", "10.1.2.3"),
        ("http://[fd12::1]", "fd12::/16"),
        ("http://[64:ff9b::a01:203]", "64:ff9b::/96"),
        ("http://not-resolved-yet", "10.0.0.0/8"),
    ],
)
def test_a_receiver_on_the_list_is_allowed(url: str, allowed: str) -> None:
    """By name, by suffix, by address, by network; a name may turn out to be in a network."""
    AddressPolicy(["other.example", allowed]).check_url(url)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://example", "*.example"),
        ("http://edge.example.evil", "edge.example"),
        ("http://notexample", "*.example"),
        ("http://edge.example", "*.edge.example"),
        ("http://10.1.2.3", "edge.example"),
        ("http://11.1.2.3", "10.0.0.0/8"),
        ("http://184615427", "10.0.0.0/8"),
        ("http://127.0.0.1", "10.0.0.0/8"),
        ("http://[::1]", "127.0.0.1"),
        ("http://[::10.1.2.3]", "10.0.0.0/8"),
        ("http://[64:ff9b:1::10.1.2.3]", "10.0.0.0/8"),
        ("http://[2001:0:a01:203::f5fe:fdfc]", "10.0.0.0/8"),
    ],
)
def test_a_receiver_that_is_not_on_the_list_is_refused(url: str, allowed: str) -> None:
    """The message names the list."""
    assert "is not in allowed_receivers" in refused(url, allowed)


def test_a_name_is_refused_for_where_it_leads() -> None:
    """The list has networks only, and the name is in none."""
    assert "nothing was sent: edge (11.0.0.1) is not in allowed_receivers" == unreachable(
        "edge", ["11.0.0.1", "12.0.0.1"], "10.0.0.0/8"
    )


def test_a_listed_name_may_lead_anywhere() -> None:
    """Only the addresses that are never sent to are left out."""
    assert ["11.0.0.1"] == connectable("edge", ["169.254.1.1", "11.0.0.1"], "edge", "10.0.0.0/8")


def test_only_the_allowed_addresses_of_a_name_are_used() -> None:
    """A machine may have a link-local address beside its own."""
    assert ["10.0.0.1", "fd12::1"] == connectable(
        "edge", ["fe80::1%2", "10.0.0.1", "11.0.0.1", "fd12::1"], "10.0.0.0/8", "fd12::/16"
    )

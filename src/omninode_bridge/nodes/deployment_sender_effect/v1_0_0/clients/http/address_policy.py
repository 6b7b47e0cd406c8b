"""Which addresses packages may be sent to, so that a URL cannot lead to a machine that is not a receiver.

The policy is applied to the addresses that a name was resolved to, and these addresses are connected to: the name is
not resolved a second time, so a name server that changes its response (DNS rebinding) gains nothing.
"""

import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from ...errors import InvalidInputError, ReceiverUnreachableError

__all__ = ["AddressPolicy", "Found"]

Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""One result of `getaddrinfo`."""

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215
# Networks whose addresses end with an IPv4 address.
_ENDS_WITH_IPV4 = (
    IPv6Network("::/96"),  # IPv4-compatible: RFC 4291 section 2.5.5.1
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped: RFC 4291 section 2.5.5.2
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated: RFC 2765 section 2.1
    _NAT64,
)
_ISATAP = {0x00005EFE, 0x02005EFE}  # RFC 5214 section 6.1: before the IPv4 address, behind any network
# RFC 1122 section 3.2.1.3; Linux connects 0.0.0.0 and :: to the machine itself.
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_NEVER = {
    ip_network(network): kind
    for kind, networks in {
        "a link-local address": ("169.254.0.0/16", "fe80::/10"),
        # Amazon's, Google's, Alibaba's, Azure's and Oracle's, as far as they are not link-local.
        "a cloud's own service": (
            "fd00:ec2::/32",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
        ),
        "not the address of a machine": (_THIS_NETWORK, "::", "255.255.255.255"),
        "a multicast address": ("224.0.0.0/4", "ff00::/8"),
    }.items()
    for network in networks
}
_RECOVERY = "Use the URL of an allowed receiver, or add this one to allowed_receivers."


class AddressPolicy:
    """Refuses receivers that are not on the list, and always addresses that cannot be a receiver's.

    Args:
        allowed: Host names, `*.SUFFIX`, addresses and networks; every receiver if empty.
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._names: list[str] = []
        self._networks = []
        for pattern in allowed:
            try:
                self._networks.append(ip_network(pattern))
            except ValueError:
                self._names.append(pattern)

    def check_url(self, url: str) -> None:
        """Check a URL as far as that needs no name server. Blocks for a moment: call it in a thread.

        Args:
            url: The URL of a receiver.

        Raises:
            InvalidInputError: The receiver is not allowed.
        """
        host = urlsplit(url).hostname or ""
        try:
            # Resolved as connecting would: http://2852039166 is one more way to write 169.254.169.254.
            literal = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            refused = not self._networks and not self._is_listed(host)
            objection = f"{host} is not in allowed_receivers" if refused else None
        else:
            objection = self._objection(host, literal[0])
        if objection is not None:
            raise InvalidInputError(objection, recovery=_RECOVERY)

    def allowed_addresses(self, host: str, found: Sequence[Found]) -> list[Found]:
        """Return those of a name's addresses that may be connected to.

        Args:
            host: The name as the URL has it.
            found: Its addresses.

        Raises:
            ReceiverUnreachableError: There are addresses, and none is allowed.
        """
        objections = [self._objection(host, one) for one in found]
        allowed = [one for one, objection in zip(found, objections, strict=True) if objection is None]
        if found and not allowed:
            message = f"nothing was sent: {objections[0]}"
            raise ReceiverUnreachableError(message, recovery=_RECOVERY, retry=False)
        return allowed

    def _objection(self, host: str, found: Found) -> str | None:
        text = str(found[4][0])
        address = ip_address(text)
        represented = _embedded_ipv4(address)
        spellings = {address, *_every_embedded(address)}
        for network, kind in _NEVER.items():
            if any(one in network for one in spellings):
                return f"{_named(host, text)} is {kind}; packages are never sent there"
        if self._is_listed(host) or any(one in network for network in self._networks for one in (address, represented)):
            return None
        return f"{_named(host, text)} is not in allowed_receivers"

    def _is_listed(self, host: str) -> bool:
        if not self._names and not self._networks:
            return True
        name = host.lower().rstrip(".")
        return any(name.endswith(one[1:]) if one.startswith("*") else name == one for one in self._names)


def _embedded_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address represents, else the address: a list may name either."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return _ipv4(address, 96)
    return address.ipv4_mapped or address.sixtofour or address


def _every_embedded(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Yield every IPv4 address that an IPv6 address may lead to, by any translation mechanism."""
    if isinstance(address, IPv4Address) or address.is_loopback:  # ::1 is IPv4-compatible by its bits only
        return
    if any(address in network for network in _ENDS_WITH_IPV4) or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield _ipv4(address, 96)
    if address in _LOCAL_NAT64:
        yield from _local_nat64(address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:  # the server's and the client's: RFC 4380 section 4
        yield from address.teredo


def _local_nat64(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 address by each length that the translator's prefix may have (RFC 6052 section 2.2)."""
    readings = [_ipv4(address, prefix) for prefix in (48, 56, 64, 96)]
    # Only one of the readings is right; the others mostly begin with zeros.
    return [one for one in readings if one not in _THIS_NETWORK] or readings


def _ipv4(address: IPv6Address, prefix: int) -> IPv4Address:
    """Return the 32 bits behind a prefix, without bits 64 to 71, which RFC 6052 section 2.2 keeps zero."""
    bits = f"{int(address):0128b}"
    behind = bits[prefix:64] + bits[max(prefix, 72) :]
    return IPv4Address(int(behind[:32], 2))


def _named(host: str, address: str) -> str:
    return address if host == address else f"{host} ({address})"

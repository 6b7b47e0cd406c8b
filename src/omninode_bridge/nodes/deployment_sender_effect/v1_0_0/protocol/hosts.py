"""One spelling for each host, which both sides sign and a receiver compares.

A host is the `Host` header's value (RFC 9110 section 7.2): a name or an address, with or without a port. Names ignore
case (RFC 3986 section 3.2.2) and may end in the root's dot (RFC 1034 section 3.1), IPv6 addresses have one canonical
text (RFC 5952), and a port that is the scheme's default may be left out (RFC 3986 section 6.2.3).
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

__all__ = ["DEFAULT_PORTS", "Host", "normal_host", "parse_host"]

DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT_MAX = 65_535  # 16 bits (RFC 9293 section 3.1)
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._~%!$&'()*+,;=-]+))(?::(?P<port>[0-9]*))?")
_LOOPBACK_NAME = "localhost"


class Host(NamedTuple):
    """A host in its one spelling.

    Attributes:
        name: A name in lower case without a dot at its end, an IPv4 address, or an IPv6 address in brackets.
        port: The port; None if it was left out, empty, or the scheme's default.
    """

    name: str
    port: int | None = None

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it always is the machine itself: `localhost` and below (RFC 6761 section 6.3), 127/8, ::1."""
        if self.name.startswith("["):
            return IPv6Address(self.name[1:-1]).is_loopback
        try:
            return IPv4Address(self.name).is_loopback
        except AddressValueError:
            return self.name == _LOOPBACK_NAME or self.name.endswith(f".{_LOOPBACK_NAME}")


def parse_host(text: str, scheme: str | None = None) -> Host:
    """Parse a host.

    Args:
        text: As in a `Host` header or a URL: `NAME`, `NAME:PORT`, `[ADDRESS]:PORT`.
        scheme: `http` or `https`, whose default port may be left out; None if no port may.

    Raises:
        ValueError: It is not a host.
    """
    match = _HOST.fullmatch(text)
    if match is None:
        raise ValueError("it is not of the form NAME, NAME:PORT or [ADDRESS]:PORT")
    port = int(match["port"][:6]) if match["port"] else None
    if port is not None and port > _PORT_MAX:
        raise ValueError(f"its port is over {_PORT_MAX}")
    if match["address"]:
        name = f"[{_canonical(IPv6Address(match['address']))}]"
    else:
        name = match["name"].lower().removesuffix(".")
    if not name:
        raise ValueError("it has no name")
    return Host(name, None if port == DEFAULT_PORTS.get(scheme or "") else port)


def _canonical(address: IPv6Address) -> str:
    """Return an address as RFC 5952 spells it; Python versions differ for IPv4-mapped ones (section 5)."""
    mapped = address.ipv4_mapped
    return address.compressed if mapped is None else f"::ffff:{mapped}"


def normal_host(text: str, scheme: str | None = None) -> str:
    """Return the one spelling of a host; a text that is not a host is returned in lower case.

    Args:
        text: As for `parse_host`.
        scheme: As for `parse_host`.
    """
    try:
        return str(parse_host(text, scheme))
    except ValueError:
        return text.lower()
